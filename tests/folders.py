"""The project's folders; nothing else, so that benchmarks need not import what tests set in their environment."""

from pathlib import Path

PROJECT = Path(__file__).parents[1]
CONFIGS = PROJECT / "configs"
