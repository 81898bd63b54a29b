"""Whatever a configuration has become, its user reads one line and no traceback."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import example, given, reject
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.config.training import RegistryConfig
from genlib.errors import UserError
from genlib.layers.base import DataSpec
from genlib.models.base import Batch, Method
from genlib.runs.folder import new_run_name
from genlib.storage.home import runs_folder
from tests.conftest import CONFIGS
from tests.family import NAMES, tiny_config
from tests.fuzz.command import called, is_one_line
from tests.fuzz.strategies import (
    ANYTHING,
    JSON_LEAVES,
    KEYS,
    TEXTS,
    corrupted,
    drawn_run,
    examples,
    is_small,
    mutated,
    places,
)

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


def one_line_or_config(file: Path, overrides: Sequence[str] = ()) -> RunConfig | None:
    """None where a UserError of one line came; any other error is the test's."""
    try:
        config = load_config(file, overrides)
    except UserError as error:
        assert str(error).strip() and len(str(error).splitlines()) == 1, repr(str(error))
        return None
    assert isinstance(config, RunConfig)
    return config


SHIPPED = {name: yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in NAMES}


@given(st.sampled_from(NAMES).flatmap(lambda name: mutated(SHIPPED[name], ANYTHING, KEYS)))
@examples(200)
def test_a_shipped_configuration_with_anything_in_any_place_is_taken_or_refused_in_one_line(
    folder: Path, content: Any
) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    one_line_or_config(folder / "config.yaml")


@given(st.one_of(st.sampled_from(BROKEN), st.binary(max_size=40), corrupted(VALID)))
@examples(200)
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
@examples(200)
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
@examples(200)
def test_a_configuration_that_is_taken_can_be_built(content: dict[str, Any]) -> None:
    try:
        config = RunConfig.model_validate(content)
    except ValidationError:
        return
    size = config.data.image_size
    if size > 32 or not is_small(content):
        return
    shape = (2,) if config.data.is_points else (config.data.channels, size, size)
    spec = DataSpec(shape, classes=3, rows=100, condition=config.condition.build(shape))
    assert isinstance(config.method.build(spec), Method)


def run_with(data: dict[str, Any], condition: str, method: dict[str, Any]) -> dict[str, Any]:
    judged = {"evaluation": {"features": "random"}, "registry": {"model": "m", "metric": "fd_random"}}
    return judged | {
        "data": data,
        "condition": condition,
        "method": method,
        "training": {"batch_size": 2},
    }


SMALL_DIGITS = {"source": "digits", "image_size": 8, "channels": 1}
SMALL_CODES = {"width": 4, "codes": 4, "code_size": 4, "downsamplings": 1}


@given(drawn_run())
@example(run_with(SMALL_DIGITS, "none", {"name": "vq_vae", **SMALL_CODES, "prior": {"width": 4, "heads": 3}}))
@example(
    run_with(
        SMALL_DIGITS, "masked", {"name": "gan", "network": {"name": "unet", "width": 4, "discriminator_layers": 4}}
    )
)
@examples(25)
def test_a_configuration_of_anything_that_is_taken_can_be_built_and_trained(content: dict[str, Any]) -> None:
    try:
        config = RunConfig.model_validate(content)
    except ValidationError:
        reject()  # and draw another
    begin_training(config)


def begin_training(config: RunConfig) -> None:
    """A forward and a backward pass of every phase, on a micro-batch of noise; and samples."""
    shape = (2,) if config.data.is_points else (config.data.channels, *2 * [config.data.image_size])
    condition = config.condition.build(shape, ["a", "b", "c"])
    torch.manual_seed(0)
    method = config.method.build(DataSpec(shape, 3, 100, condition)).train()
    layout = torch.channels_last if config.training.channels_last else torch.contiguous_format
    method.to(memory_format=layout)
    images = config.training.batch_size // config.training.parts
    batch = Batch(2 * torch.rand(images, *shape) - 1, torch.randint(3, (images,)))
    if condition:
        stored = condition.example().expand(images, *condition.shape)
        batch = batch._replace(context=condition.of_images(batch.images, stored, torch.Generator().manual_seed(0)))
    method.begin_step(0)
    for phase in method.phases:
        losses = method.loss(phase.name, batch)
        losses["total"].backward()
        method.after_update(phase.name, {key: value for key, value in losses.items() if value.dim()})
    sampler = method.model.sampler.eval()
    with torch.no_grad():
        assert sampler(torch.randn(images, sampler.latent_size), batch.given).shape == batch.images.shape


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
@examples(200)
def test_the_name_of_a_model_never_leads_out_of_the_runs_folder(genlib_home: Path, name: str) -> None:
    try:
        model = TypeAdapter(RegistryConfig).validate_python({"model": name}).model
    except ValidationError:
        return
    run = runs_folder() / new_run_name(model)
    assert Path(os.path.normpath(run)).parent == runs_folder()
    assert (runs_folder() / model).resolve().parent == runs_folder().resolve()
    assert not set(model) & set("/\\\0\n")
