"""Where the flow that draws from a registered model writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from genlib.errors import UserError
from pipelines.flows.sample import make_parent


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "samples", Path("/proc/samples")):
        with pytest.raises(UserError, match=f"output {folder} cannot be written"):
            make_parent(folder)
    make_parent(tmp_path / "new" / "samples")
    assert (tmp_path / "new").is_dir() and not list((tmp_path / "new").iterdir())
