"""Whatever a configuration or a run folder has become, its user reads one line and no traceback.

GENLIB_FUZZ=20 tries twenty times as many examples.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from copy import deepcopy
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from genlib.cli import main
from genlib.config import RegistryConfig, RunConfig, load_config
from genlib.errors import UserError
from genlib.home import runs_folder
from genlib.methods import Method, build_method
from genlib.networks.base import DataSpec
from genlib.training.run_folder import new_run_name
from tests.conftest import CONFIGS
from tests.family import NAMES, tiny_config

TIMES = float(os.environ.get("GENLIB_FUZZ", "1"))
PREFIXES = ("error: ", "failed: ", "diverged: ")

Place = tuple[str | int, ...]  # the keys to a place in nested dicts and lists


def examples(count: int) -> settings:
    return settings(
        max_examples=max(1, round(count * TIMES)),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# What stands where something else should

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "a\nb",
            "\x00",
            "a\x00b",
            "\ud800",
            "é☃\u2028",
            "~",
            "~nobody-of-this-name/x",
            "..",
            "../x",
            "/",
        ]
        + ["nan", "1e309", "0x10", "1_000", "null", "on", "{}", "[", "step-1", "a" * 300, "a/" * 3000, "x" * 100_000]
    ),
)
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2, 3, 0.5, -0.0, 1e-300, 1e300, 2**31, 2**63, 2**64, 10**30, 10**400]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.integers(),
    st.floats(),
)
JSON_LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
LEAVES = st.one_of(
    JSON_LEAVES, st.binary(max_size=6), st.sampled_from([date(2020, 1, 2), datetime(2020, 1, 2, 3, 4), {1, 2}])
)
KEYS = st.one_of(
    TEXTS, st.sampled_from(["name", "data", "method", "steps", "network"]), st.integers(0, 3), st.none(), st.booleans()
)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=5
    )


ANYTHING = nested(LEAVES, KEYS)
JSON = nested(JSON_LEAVES, TEXTS)


def places(content: Any, path: Place = ()) -> Iterator[Place]:
    """Every path in nested dicts and lists, the root's left out."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, original: Any, values: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> Any:
    """`original` with one to three places replaced, deleted, wrapped, or given a neighbour."""
    content = deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        *parents, key = draw(st.sampled_from(list(places(content)) or [(0,)]))
        holder = content
        for parent in parents:
            holder = holder[parent]
        match draw(st.sampled_from(["replace", "replace", "replace", "delete", "wrap", "neighbour"])):
            case "delete" if holder:
                del holder[key]
            case "wrap" if holder:
                holder[key] = draw(st.sampled_from([[holder[key]], {"name": holder[key]}, [[holder[key]]]]))
            case "neighbour" if isinstance(holder, dict):
                holder[draw(keys)] = draw(values)
            case _ if holder:
                holder[key] = draw(values)
    return content


def one_line_or_config(file: Path, overrides: list[str] | None = None) -> RunConfig | None:
    """None where a UserError of one line came; any other error is the test's."""
    try:
        config = load_config(file, overrides)
    except UserError as error:
        assert str(error).strip() and len(str(error).splitlines()) == 1, repr(str(error))
        return None
    assert isinstance(config, RunConfig)
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


SHIPPED = {name: yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in NAMES}


@given(st.sampled_from(NAMES).flatmap(lambda name: mutated(SHIPPED[name], ANYTHING, KEYS)))
@examples(60)
def test_a_shipped_configuration_with_anything_in_any_place_is_taken_or_refused_in_one_line(
    folder: Path, content: Any
) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    one_line_or_config(folder / "config.yaml")


VALID = (CONFIGS / "vae_digits.yaml").read_bytes()
BROKEN = [
    *(b"", b"\x00", b"\xff\xfe\x00", b"a: [", b"a: b: c", b"\tdata: 1", b"- 1", b"5", b"null", b"'", b"---\n---\n"),
    *(b"a: &a [*a]", b"data: &d {x: *d}", b"a: *missing", b"? [a]\n: b", b"? {a: b}\n: c", b"<<: 5", b"<<: [1]"),
    *(b"a: 2024-13-45", b"a: 2024-02-30 25:00:00", b"a: !!int x", b"a: !!float x", b"a: !!bool x", b"a: !!timestamp x"),
    *(b"a: !!binary '*'", b"a: !!set [1]", b"a: !!omap {a: 1}", b"a: !!pairs [1]", b"a: 0x", b"a: 0b2", b"a: 1:99e"),
    *(b"[" * 3000, b"{a: " * 3000, b"a: " + b"9" * 5000, b"a: &a {b: &b {c: *a}}", b"\xef\xbb\xbfdata: {}"),
    *(b"!!python/object/apply:os.system ['true']", b"a: !!python/name:os.system", b"a: !local 1", b"%YAML 9.9\n---\na"),
    b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: &d [*c,*c]\ne: &e [*d,*d]\nf: &f [*e,*e]\nmethod: [*f,*f]",
]


@st.composite
def corrupted(draw: st.DrawFn, original: bytes) -> bytes:
    """The bytes with some cut out of the middle and others in their place."""
    start = draw(st.integers(0, len(original)))
    end = draw(st.integers(start, min(start + 12, len(original))))
    return (
        original[:start]
        + draw(st.binary(max_size=6) | TEXTS.map(lambda t: t.encode(errors="replace")))
        + original[end:]
    )


@given(st.one_of(st.sampled_from(BROKEN), st.binary(max_size=40), corrupted(VALID)))
@examples(60)
def test_a_file_of_any_bytes_is_taken_or_refused_in_one_line(folder: Path, content: bytes) -> None:
    (folder / "config.yaml").write_bytes(content)
    one_line_or_config(folder / "config.yaml")


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_yaml_that_is_none_of_ours_is_refused_in_one_line(folder: Path, content: bytes) -> None:
    (folder / "config.yaml").write_bytes(content)
    assert one_line_or_config(folder / "config.yaml") is None


SHIPPED_KEYS = [".".join(map(str, place)) for place in places(SHIPPED["cgan_digits"])]
OVERRIDES = st.one_of(
    TEXTS,
    st.tuples(st.sampled_from(SHIPPED_KEYS) | TEXTS, TEXTS | JSON_LEAVES.map(str)).map("=".join),
    st.tuples(st.sampled_from(SHIPPED_KEYS), st.sampled_from(BROKEN).map(lambda b: b.decode(errors="replace"))).map(
        "=".join
    ),
)


@given(st.lists(OVERRIDES, min_size=1, max_size=2))
@examples(60)
def test_an_override_of_any_text_is_taken_or_refused_in_one_line(overrides: list[str]) -> None:
    one_line_or_config(CONFIGS / "cgan_digits.yaml", overrides)


@given(TEXTS)
@examples(30)
def test_a_configuration_file_of_any_name_is_refused_in_one_line(folder: Path, name: str) -> None:
    status, error = called("train", f"{folder}/nowhere/{name}")
    assert status == 2 and is_one_line(error), error


# What a valid configuration leads to

SIZES = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32])
CHOICES = ["none", "concat", "batch_norm", "projection", "batch", "mlp", "dcgan", "resnet", "r3gan", "mixture", "mmd"]
PLAUSIBLE = st.one_of(
    SIZES, st.floats(0, 1), st.booleans(), st.none(), st.sampled_from(CHOICES), st.lists(SIZES, max_size=3)
)
TINY = {name: tiny_config(name).model_dump(mode="json") for name in NAMES}
LARGEST = 64  # of a size: what is tested is whether networks fit together, not whether memory suffices


@given(st.sampled_from(NAMES).flatmap(lambda name: mutated(TINY[name], PLAUSIBLE, st.sampled_from(["name", "width"]))))
@examples(60)
def test_a_configuration_that_is_taken_can_be_built(content: dict[str, Any]) -> None:
    try:
        config = RunConfig.model_validate(content)
    except ValidationError:
        return
    size = config.data.image_size
    if size > 32 or not is_small(content):
        return
    shape = (2,) if config.data.is_points else (config.data.channels, size, size)
    assert isinstance(build_method(config.method, DataSpec(shape, classes=3, rows=100)), Method)


def is_small(content: Any) -> bool:
    """Whether the method, if there is one, is one that memory suffices for."""
    method = content.get("method") if isinstance(content, dict) else None
    return not any(isinstance(value, int | float) and value > LARGEST for value in leaves([method]))


def leaves(content: Any) -> Iterator[Any]:
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for value in values:
        yield from leaves(value) if isinstance(value, dict | list) else [value]


# Names of files

NAMES_OF_FILES = st.one_of(
    TEXTS,
    st.sampled_from(
        ["..", ".", "../x", "a/b", "/etc", "con\x00", "a\\b", "a\n", "-rf", " ", "a/../../b", ".hidden", "é"]
    ),
    st.text("ab./\\-_ ~\x00\n", max_size=6),
)


@given(NAMES_OF_FILES)
@example("..")
@examples(60)
def test_the_name_of_a_model_never_leads_out_of_the_runs_folder(genlib_home: Path, name: str) -> None:
    try:
        model = TypeAdapter(RegistryConfig).validate_python({"model": name}).model
    except ValidationError:
        return
    run = runs_folder() / new_run_name(model)
    assert Path(os.path.normpath(run)).parent == runs_folder()
    assert (runs_folder() / model).resolve().parent == runs_folder().resolve()
    assert not set(model) & set("/\\\0\n")


# Run folders

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


def called(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command; an exception is the test's."""
    error = io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with redirect_stderr(error), redirect_stdout(io.StringIO()):
            return main(arguments), error.getvalue()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def is_one_line(error: str) -> bool:
    return error.startswith(PREFIXES) and len(error.splitlines()) == 1


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
        kinds += ["altered"] * 10
    match draw(st.sampled_from(kinds)):
        case "cut":
            return content[: int(draw(share) * len(content))]
        case "flip":
            return flip(content, draw(share), draw(st.integers(0, 7)))
        case "folder":
            return None
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


def damage_to(draw: st.DrawFn, run: Path) -> list[tuple[str, Damage]]:
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


def damaged(draw: st.DrawFn, run: Path) -> tuple[Path, str]:
    """A copy that something has befallen, and what."""
    copy = run.with_name(f"{run.name}-damaged")
    remove(copy)
    shutil.copytree(run, copy)
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
    copy = labelled.with_name("labelled-damaged")
    remove(copy)
    shutil.copytree(labelled, copy)
    file = data.draw(st.sampled_from(["config.json"] * 4 + ["weights.safetensors"]))
    content = data.draw(damaged_content(labelled / "sampler" / file))
    replace(copy / "sampler" / file, content)
    labels = data.draw(st.sampled_from([[], ["--labels", "1,2"], ["--labels", "x"], ["--count", "0"]]))
    status, error = called("sample", str(copy), "--count", "4", "--output", str(folder / "grid.png"), *labels)
    assert status in (0, 1, 2) and (status == 0 or is_one_line(error)), f"{content!r}: {error}"
