"""radsweep: from a hospital export of X-rays and reports to ablation tables that can be trusted."""

import os

__version__ = "0.1.0"

# No word about a hospital's runs leaves it unasked; set before any of these libraries is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
