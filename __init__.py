"""radsweep: from a hospital export of X-rays and reports to ablation tables that can be trusted."""

__version__ = "0.1.0"
