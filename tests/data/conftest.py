from __future__ import annotations

from pathlib import Path

import pytest

from genlib.data.config import DataConfig


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GENLIB_HOME for one test; its data folder."""
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data"


@pytest.fixture
def config():
    """DataConfig with the size and channels of the tests' pictures."""

    def make(source="digits", **settings):
        return DataConfig(**{"source": str(source), "image_size": 8, "channels": 1} | settings)

    return make
