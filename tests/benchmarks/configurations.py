"""Every shipped configuration at its own size, for its first steps, on the data that it names."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.runs.folder import RunFolder
from tests.benchmarks.data import local_source
from tests.folders import CONFIGS, PROJECT

STEPS, SAMPLES = 5, 8

Row = dict[str, Any]


def measure_configurations(names: Sequence[str] = ()) -> Iterator[Row]:
    """A row for each of these shipped configurations, or for all; one whose data is not at hand says so."""
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted(CONFIGS.glob("*.yaml")):
            if not names or file.stem in names:
                row = row_of(file, Path(folder))
                print(row, flush=True)
                yield row


def row_of(file: Path, home: Path) -> Row:
    """Train `STEPS` steps and draw `SAMPLES` samples, as a user would."""
    config = load_config(file)
    source, row = local_source(config), {"configuration": file.stem, "data": config.data.source}
    if source is None:
        return row | {"steps": 0, "samples": "data not at hand"}
    run = RunFolder(home / file.stem)
    settings = [f"training.steps={STEPS}", "evaluation.every=null", f"data.source={source}"]
    options = [word for setting in settings for word in ("--set", setting)]
    try:
        genlib(home, "train", str(file), *options, "--run-dir", str(run.path))
        return row | {"steps": run.result()["step"], "samples": drawn(config, run, home)}
    except subprocess.CalledProcessError as error:
        return row | {"steps": 0, "samples": error.stderr.strip().rpartition("\n")[2]}


def drawn(config: RunConfig, run: RunFolder, home: Path) -> str:
    """The shape and type of samples from the exported sampler."""
    file = home / "samples.npz"
    genlib(home, "sample", str(run.path), *sampling_options(config, home), "--output", str(file))
    (samples,) = np.load(file).values()
    assert np.isfinite(samples).all()
    return f"{'x'.join(map(str, samples.shape))} {samples.dtype}"


def sampling_options(config: RunConfig, home: Path) -> list[str]:
    """The options of `genlib sample`; a condition that is an image is made up."""
    options = ["--count", str(SAMPLES)]
    size, channels = config.data.image_size, config.data.channels
    contexts = {
        "low_resolution": lambda: np.full((1, channels, size // 2, size // 2), 128, np.uint8),
        "masked": lambda: half_hidden(channels, size),
        "greyscale": lambda: np.full((1, 1, size, size), 128, np.uint8),
    }
    if config.condition.name == "caption":
        options += ["--condition", "a four above a seven"]
    elif config.condition.name in contexts:
        np.save(home / "contexts.npy", contexts[config.condition.name]())
        options += ["--condition", str(home / "contexts.npy")]
    return options


def half_hidden(channels: int, size: int) -> np.ndarray:
    """Grey images whose right half is to be filled, uint8 (1, C + 1, size, size)."""
    context = np.full((1, channels + 1, size, size), 128, np.uint8)
    context[:, -1] = 255
    context[..., size // 2 :] = 0
    return context


def genlib(home: Path, *arguments: str) -> None:
    environment = os.environ | {"GENLIB_HOME": str(home / "home"), "HF_DATASETS_CACHE": str(home / "hf")}
    command = [sys.executable, "-m", "genlib", *arguments]
    subprocess.run(command, check=True, cwd=PROJECT, env=environment, capture_output=True, text=True)
