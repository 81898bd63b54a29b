"""Whatever a run folder has become, its user reads one line and no traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import CONFIGS
from tests.fuzz.command import called, is_one_line
from tests.fuzz.strategies import ANYTHING, JSON, KEYS, TEXTS, examples, is_small, mutated

RUN = ("training.steps=4", "training.batch_size=16", "training.micro_batches=1", "training.device=cpu")
OFTEN = ("training.checkpoint_every=2", "training.log_every=1", "training.sample_every=4", "evaluation.every=2")
FEW = ("evaluation.samples=20", "evaluation.every_samples=20", "evaluation.seeds=1", "evaluation.likelihood_samples=2")
SMALL = ("data.points=40", "method.network.hidden_sizes=[4]", "method.latent_size=2", "evaluation.neighbours=2")
LABELLED = ("data.image_size=8", "method.network={name: mlp, hidden_sizes: [4]}", "evaluation.every=null")
STANDING_IN = ("checkpoints/step-junk", "checkpoints/step-00000003", "checkpoints/step-00000009/state.json")
JUNK = (
    *STANDING_IN,
    *("checkpoints/.step-00000004.partial", "checkpoints/damaged-step-00000004", "best/step-junk/state.json"),
    *(".sampler.partial", ".config.yaml.partial", "junk", "sampler/junk", "checkpoints/step-00000002/junk"),
)

Damage = Callable[[Path], object]


def train_arguments(config: str, run: Path, *overrides: str) -> list[str]:
    sets = [part for override in (*RUN, *overrides) for part in ("--set", override)]
    return ["train", str(CONFIGS / f"{config}.yaml"), *sets, "--run-dir", str(run)]


def train_again(run: Path) -> list[str]:
    return train_arguments("vae_pinwheel", run, *OFTEN, *FEW, *SMALL)


@pytest.fixture(scope="module")
def finished(genlib_home: Path, folder: Path) -> Path:
    """A run over points that ended well, was evaluated on the way and at the end, and has a best checkpoint."""
    run = folder / "finished"
    for arguments in (train_again(run), ["evaluate", str(run)]):
        status, error = called(*arguments)
        assert status == 0, error
    return run


@pytest.fixture(scope="module")
def labelled(genlib_home: Path, folder: Path) -> Path:
    """A run that ended well, of a conditional sampler."""
    run = folder / "labelled"
    status, error = called(*train_arguments("cvae_digits", run, *LABELLED))
    assert status == 0, error
    return run


def replace(path: Path, content: bytes | None) -> None:
    """Whatever is there becomes this file; None: a folder with something in it."""
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
        (path / "inside").write_bytes(b"")
    else:
        path.write_bytes(content)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flip(content: bytes, where: float, bit: int) -> bytes:
    position = int(where * len(content))
    return content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :]


def rewritten(text: str, change: Callable[[Any], Any]) -> str:
    """JSON, or lines of JSON, one of which changes."""
    with suppress(ValueError):
        return json.dumps(change(json.loads(text)))
    first, *others = text.splitlines()
    return "\n".join([json.dumps(change(json.loads(first))), *others]) + "\n"


@st.composite
def damaged_content(draw: st.DrawFn, file: Path) -> bytes | None:
    """What may stand in a file's place: its bytes cut or altered, other JSON, junk; None: a folder."""
    content, share = file.read_bytes(), st.floats(0, 1, exclude_max=True)
    kinds = ["cut", "flip", "empty", "folder", "json", "junk", "flip"]
    if file.suffix in (".json", ".jsonl", ".yaml"):
        kinds += ["altered"] * 10 + ["deep"]
    match draw(st.sampled_from(kinds)):
        case "cut":
            return content[: int(draw(share) * len(content))]
        case "flip":
            return flip(content, draw(share), draw(st.integers(0, 7)))
        case "folder":
            return None
        case "deep":  # more than Python's recursion can follow, or as much as it just can
            depth = draw(st.sampled_from([100_000, 900]))
            return b"[" * depth + b"]" * depth + b"\n"
        case "json":
            return json.dumps(draw(JSON)).encode() + b"\n"
        case "junk":
            return draw(st.binary(max_size=30)) + b"\n"
        case "altered" if file.suffix == ".yaml":
            return yaml.safe_dump(draw(mutated(yaml.safe_load(content), ANYTHING, KEYS).filter(is_small))).encode()
        case "altered":
            return rewritten(
                content.decode(), lambda there: draw(mutated(there, JSON, TEXTS).filter(is_small))
            ).encode()
    return b""


def damage_to(draw: Callable[..., Any], run: Path) -> list[tuple[str, Damage]]:
    """One to three of what can befall a run folder, each with its name."""
    paths = sorted(path for path in run.rglob("*") if path.name != ".training.lock")
    files, befallen = [path for path in paths if path.is_file()], []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        kind = draw(
            st.sampled_from(["content"] * 12 + ["delete", "delete", "add", "add", "another", "file for folder"])
        )
        if kind == "add":
            name, content = draw(st.sampled_from(JUNK)), draw(st.sampled_from([b"", b"{}", b"5", None]))
        elif kind == "another":
            name, content = inside(run, draw(st.sampled_from(files))), draw(st.sampled_from(files)).read_bytes()
        elif kind == "file for folder":
            name, content = inside(run, draw(st.sampled_from([path for path in paths if path.is_dir()]))), b"5"
        elif kind == "delete":
            name = inside(run, draw(st.sampled_from(paths)))
            befallen.append((f"delete {name}", lambda copy, name=name: remove(copy / name)))
            continue
        else:
            # A file is drawn by its name first: most are a checkpoint's.
            named = draw(st.sampled_from(sorted({path.name for path in files})))
            file = draw(st.sampled_from([path for path in files if path.name == named]))
            name, content = inside(run, file), draw(damaged_content(file))
        shown = "a folder" if content is None else repr(content[:200])
        befallen.append((f"{name} := {shown}", lambda copy, name=name, content=content: replace(copy / name, content)))
    return befallen


def inside(run: Path, path: Path) -> str:
    return str(path.relative_to(run))


def fresh_copy(run: Path) -> Path:
    copy = run.with_name(f"{run.name}-damaged")
    remove(copy)
    shutil.copytree(run, copy)
    return copy


def damaged(draw: Callable[..., Any], run: Path) -> tuple[Path, str]:
    """A copy that something has befallen, and what."""
    copy = fresh_copy(run)
    befallen = damage_to(draw, run)
    for _, damage in befallen:
        with suppress(NotADirectoryError, FileExistsError):  # where an earlier damage left no folder
            damage(copy)
    return copy, "; ".join(name for name, _ in befallen)


def weights(run: Path) -> bytes:
    return (run / "sampler" / "weights.safetensors").read_bytes()


@given(st.data())
@examples(60)
def test_training_goes_on_from_a_damaged_folder_to_the_same_weights_or_ends_in_one_line(
    finished: Path, data: st.DataObject
) -> None:
    copy, befallen = damaged(data.draw, finished)
    status, error = called(*train_again(copy))
    assert status in (0, 1, 2) and (status == 0 or is_one_line(error)), f"{befallen}: {error}"
    if status == 0:
        assert weights(copy) == weights(finished), befallen


@given(st.data())
@examples(30)
def test_training_goes_on_from_damaged_checkpoints_to_the_same_weights(finished: Path, data: st.DataObject) -> None:
    copy = fresh_copy(finished)
    for step in (2, 4):
        checkpoint = finished / "checkpoints" / f"step-{step:08d}"
        file = data.draw(st.sampled_from(sorted(checkpoint.iterdir())))
        replace(copy / inside(finished, file), data.draw(damaged_content(file)))
    status, error = called(*train_again(copy))
    assert status == 0, error
    assert weights(copy) == weights(finished)


@given(st.data())
@examples(6)  # each draws the report's plots
def test_a_damaged_run_is_evaluated_or_refused_in_one_line(finished: Path, data: st.DataObject) -> None:
    copy, befallen = damaged(data.draw, finished)
    status, error = called("evaluate", str(copy))
    assert status in (0, 1, 2) and (status == 0 or is_one_line(error)), f"{befallen}: {error}"


@given(st.data())
@examples(100)
def test_a_damaged_sampler_is_drawn_from_or_refused_in_one_line(
    labelled: Path, folder: Path, data: st.DataObject
) -> None:
    copy = fresh_copy(labelled)
    file = data.draw(st.sampled_from(["config.json"] * 4 + ["weights.safetensors"]))
    content = data.draw(damaged_content(labelled / "sampler" / file))
    replace(copy / "sampler" / file, content)
    labels = data.draw(st.sampled_from([[], ["--labels", "1,2"], ["--labels", "x"], ["--count", "0"]]))
    status, error = called("sample", str(copy), "--count", "4", "--output", str(folder / "grid.png"), *labels)
    assert status in (0, 1, 2) and (status == 0 or is_one_line(error)), f"{content!r}: {error}"
