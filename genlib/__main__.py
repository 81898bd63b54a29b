"""The command genlib, also as python -m genlib: Ctrl-C while it loads is one line and exit code 130."""

from __future__ import annotations

import sys


def main() -> int:
    try:
        from genlib.cli import main

        return main()
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
