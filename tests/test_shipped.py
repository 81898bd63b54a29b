"""The configurations that come with genlib, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from genlib.cli import main
from genlib.config.load import load_config
from genlib.config.shipped import configuration_path, meaning_of, shipped
from genlib.errors import UserError
from tests.conftest import CONFIGS


def test_a_name_with_dashes_or_underscores_is_a_shipped_configuration_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = load_config(CONFIGS / "vae_digits.yaml")
    assert load_config("vae_digits") == load_config("vae-digits") == expected
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("file", ["vae_digits", "vae_digits.yaml", "vae_digits.yml"])
def test_a_file_of_the_name_in_the_folder_wins_and_says_so(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(shipped()["gan_two_moons"].read_text())
    assert load_config("vae_digits").method.name == "gan"
    said = capsys.readouterr().err
    assert said == f"note: {file} in this folder is taken, not the configuration vae_digits that comes with genlib.\n"
    (tmp_path / "mine").write_text(shipped()["gan_two_moons"].read_text())
    assert configuration_path("mine") == Path("mine") and capsys.readouterr().err == ""


def test_a_folder_of_the_name_does_not_hide_a_shipped_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vae_digits").mkdir()
    assert configuration_path("vae_digits") == shipped()["vae_digits"]


def test_an_unknown_name_is_one_line_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="did you mean 'vae_digits'.*genlib configs"):
        configuration_path("vea-digits")
    assert main(["train", "vea_digits"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: configuration vea_digits is no file here") and said.count("\n") == 1


def test_all_are_listed_with_what_they_are_and_each_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [file.stem for file in sorted(CONFIGS.glob("*.yaml"))]
    assert "vae_digits                   Kingma & Welling 2014, appendix C.2: Gaussian pixels" in lines
    assert all(len(line.split()) > 3 for line in lines)
    assert main(["configs", "vae-digits"]) == 0
    assert capsys.readouterr().out == (CONFIGS / "vae_digits.yaml").read_text()
    assert main(["configs", "vea_digits"]) == 2
    assert "did you mean 'vae_digits'?" in capsys.readouterr().err


def test_the_meaning_is_the_first_comment_that_is_no_command(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    for text, meaning in (
        ("# genlib run a.yaml\n#\n# Ours\ndata: {}\n# more\n", "Ours"),
        ("# Ours\n", "Ours"),
        ("data: {}\n# Ours\n", ""),
        ("", ""),
    ):
        file.write_text(text)
        assert meaning_of(file) == meaning


def test_the_keys_of_a_section_or_choice_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "slurm"]) == 0
    assert "launcher.name: slurm" in capsys.readouterr().out
    assert main(["config", "training"]) == 0
    assert "checkpoint_every = 500" in capsys.readouterr().out
    assert main(["config", "trainin"]) == 2
    assert "did you mean 'training'?" in capsys.readouterr().err
