"""radsweep: from a hospital export of X-rays and reports to ablation tables that can be trusted."""

import os

__version__ = "0.1.0"

# What must be set before any of these libraries is imported.
for name, value in {
    # No word about a hospital's runs leaves it unasked.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Their notes would break the display.
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Ctrl-C is ours to handle: Tune would only stop after its running trials.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}.items():
    os.environ.setdefault(name, value)
