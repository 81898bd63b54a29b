"""The gallery: trained once, one page."""

from __future__ import annotations

from pathlib import Path

import pytest

from genlib.errors import UserError
from pipelines.flows import gallery

TINY = ("training.steps=2", "training.batch_size=16", "training.device=cpu", "evaluation.features=random")
SMALL_SCENES = ("data.scenes=800", "data.image_size=28", "method.width=8", "method.downsamplings=2")
PIECES = {
    "Larger": ("super_resolution_gan_digits", (*TINY, "evaluation.samples=100", "registry.metric=fd_pairs")),
    "By label": ("cvae_digits", (*TINY, "evaluation.samples=100", "registry.metric=fd_random")),
    "Told": ("captions_digits", (*TINY, "evaluation.samples=70", *SMALL_SCENES)),
    "Plain": ("vae_digits", (*TINY, "evaluation.samples=100", "registry.metric=fd_random")),
}


def test_the_gallery_has_pictures_of_every_kind_and_is_made_once(
    monkeypatch, genlib_home: Path, tmp_path: Path, capsys
) -> None:
    monkeypatch.setattr(gallery, "PIECES", PIECES)
    monkeypatch.setattr(gallery, "ALWAYS", (*gallery.ALWAYS, "evaluation.likelihood_samples=2"))
    monkeypatch.setattr(gallery, "home", lambda: tmp_path)
    file = Path(gallery.gallery().strip())
    page = file.read_text()
    assert file.parent == tmp_path / "gallery"
    assert [page.count(f"<h1>{title}</h1>") for title in PIECES] == [1] * 4
    for heading in ("Samples for conditions", "Samples of captions", "Samples by label", "Beside baselines"):
        assert heading in page
    assert "bicubic" in page and "training image of the nearest caption" in page and "fd_pairs" in page
    assert page.count("data:image/png;base64,") >= 4 and "href=" not in page and 'src="http' not in page
    assert "genlib train captions_digits --set training.steps=2" in page
    capsys.readouterr()
    gallery.gallery()
    assert "step" not in capsys.readouterr().out and file.read_text() == page
    monkeypatch.setattr(gallery, "PIECES", {"Plain": ("vae_digits", (*PIECES["Plain"][1], "training.seed=7"))})
    with pytest.raises(UserError, match=r"training.seed \(0 there, 7 asked\); delete .*vae_digits"):
        gallery.gallery()
