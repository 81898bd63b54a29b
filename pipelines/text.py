"""Plain tables for terminals and logs."""

from __future__ import annotations

import re
from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[object]]) -> str:
    """Rows, the first of them the heading, in columns as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def slug(text: str) -> str:
    """As keys of Prefect's artifacts must be: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
