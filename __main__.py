"""``python -m radsweep``: the same program as the ``radsweep`` command."""

from .sweeps.cli import main

main()
