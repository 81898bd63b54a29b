"""The pipelines' commands alone: python -m pipelines COMMAND."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genlib.cli import main as run_command
from pipelines.commands import COMMANDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 bad input (one line on stderr), 130 and 143 stopped by a signal."""
    return run_command(arguments, "python -m pipelines", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
