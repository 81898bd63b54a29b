"""Names as Prefect takes them."""

from __future__ import annotations

import re


def slug(text: str) -> str:
    """The text as a key of Prefect's artifacts: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
