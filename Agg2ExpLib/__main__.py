"""``python -m Agg2ExpLib`` is the command ``agg2exp``."""

import sys

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
