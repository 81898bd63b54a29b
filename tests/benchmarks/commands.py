"""What a user waits for around the training: preparing data, starting up, the flow; and the memory that it takes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from genlib.config.load import load_config
from genlib.runs.folder import RunFolder
from tests.benchmarks.data import mnist_files
from tests.benchmarks.families import synthetic_images
from tests.benchmarks.loops import encode_png
from tests.folders import PROJECT


@contextmanager
def own_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def timed(home: Path, *arguments: str) -> float:
    """Seconds of one command."""
    began = time.perf_counter()
    environment = os.environ | {"GENLIB_HOME": str(home), "HF_DATASETS_CACHE": str(home / "hf")}
    subprocess.run([sys.executable, *arguments], check=True, cwd=PROJECT, env=environment, capture_output=True)
    return time.perf_counter() - began


def row(what: str, value: float, wanted: str, values: list[float] | None = None) -> dict[str, Any]:
    return {"what": what, "ratio": round(value, 3), "range": [round(v, 3) for v in values or []], "wanted": wanted}


def measure_speed() -> list[dict[str, Any]]:
    mnist = mnist_files()
    return measure_start() + measure_prepare(mnist) + measure_flow() + measure_evaluation_share(mnist)


def measure_start(rounds: int = 5) -> list[dict[str, Any]]:
    with own_home() as home:
        timed(home, "-m", "genlib", "prepare", "configs/vae_digits.yaml")
        first_step = ["-m", "genlib", "train", "configs/vae_digits.yaml", "--set", "training.steps=1"]
        commands = {
            "genlib --help, seconds": (["-m", "genlib", "--help"], "<= 1"),
            "import torch, seconds": (["-c", "import torch"], ""),
            "import of the training, torch included, seconds": (["-c", "import genlib.training.train"], ""),
            "genlib train to its first step and out, digits prepared, seconds": (first_step, ""),
        }
        rows = []
        for what, (command, wanted) in commands.items():
            seconds = [timed(home, *command) for _ in range(rounds)]
            rows.append(row(what, statistics.median(seconds), wanted, seconds))
        return rows


def png_files(count: int, folder: Path) -> Path:
    """A Parquet file of `count` 28x28 PNGs, as MNIST has on the hub."""
    images = synthetic_images(28, 1, count)
    rows = {"image": [{"bytes": encode_png(image), "path": None} for image in images]}
    table = datasets.Dataset.from_dict(rows, features=datasets.Features({"image": datasets.Image()}))
    folder.mkdir()
    table.to_parquet(folder / "train.parquet")
    return folder


def decode_rows(source: str, rows: range) -> int:
    """The pure decoding: PNG bytes to pixels, and nothing kept."""
    table = datasets.load_dataset(source, split="train")
    return sum(np.asarray(image).shape[0] for image in table.select(rows)["image"])


def measure_prepare(source: Path | None, rounds: int = 3) -> list[dict[str, Any]]:
    """genlib prepare on MNIST, or 60,000 images like it, against decoding alone in two processes."""
    with own_home() as home:
        source = source or png_files(60_000, home / "source")
        count = len(datasets.load_dataset(str(source), split="train", cache_dir=str(home / "hf")))
        arguments = ["-m", "genlib", "prepare", "configs/vae_mnist.yaml", "--set", f"data.source={source}"]
        if not list(source.glob("test*")):
            arguments += ["--set", "data.test_split=null"]
        ratios, second = [], []
        for turn in range(rounds):
            fresh = home / f"home{turn}"
            ours = timed(fresh, *arguments)
            second.append(timed(fresh, *arguments))
            cores = os.cpu_count() or 1
            parts = [range(part * count // cores, (part + 1) * count // cores) for part in range(cores)]
            with ProcessPoolExecutor(cores) as pool:
                list(pool.map(partial(decode_rows, str(source)), [range(1)] * cores))  # started and imported
                began = time.perf_counter()
                list(pool.map(partial(decode_rows, str(source)), parts))
                ratios.append(ours / (time.perf_counter() - began))
        return [
            row("genlib prepare / pure decoding, 28x28 PNGs", statistics.median(ratios), "<= 2", ratios),
            row("the second call, seconds with process start-up", statistics.median(second), "<= 1", second),
        ]


def measure_flow() -> list[dict[str, Any]]:
    """What the flow adds to its stages when it starts from nothing; and the memory of the training in it."""
    with own_home() as home:
        began = time.perf_counter()
        program = (
            "import json, sys; from pipelines import __main__ as m; import pipelines.flows.demo as d\n"
            "d.report = lambda summaries: 'SECONDS ' + json.dumps(summaries[0]['seconds'])\n"
            "sys.exit(m.main(['run', 'configs/dcgan_digits.yaml']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=PROJECT,
            env=os.environ | {"GENLIB_HOME": str(home)},
            capture_output=True,
            text=True,
        )
        wall = time.perf_counter() - began
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("SECONDS ")]
        stages = sum(json.loads(line.removeprefix("SECONDS ")).values())
        (result,) = [json.loads(path.read_text()) for path in (home / "runs").glob("*/result.json")]
        return [
            row("the flow's wall time beyond its stages, seconds", wall - stages, "<= 30"),
            row("peak memory of training dcgan_digits, GB", result["peak_memory_bytes"] / 1e9, "<= 1"),
        ]


def measure_evaluation_share(mnist: Path | None) -> list[dict[str, Any]]:
    """genlib evaluate with 10,000 samples for each seed, against the whole training at the speed of its first steps."""
    with own_home() as home:
        source = mnist or png_files(60_000, home / "source")
        settings = [f"data.source={source}", "training.steps=200", "training.log_every=20", "evaluation.every=null"]
        if not mnist:
            settings.append("data.test_split=null")
        rows: list[dict[str, Any]] = []
        for seeds, samples in ((1, "10,000"), (3, "3 x 10,000")):
            words = [*settings, f"evaluation.seeds={seeds}"]
            arguments = [word for setting in words for word in ("--set", setting)]
            run = RunFolder(home / f"run{seeds}")
            timed(home, "-m", "genlib", "train", "configs/dcgan_mnist.yaml", *arguments, "--run-dir", str(run.path))
            if not rows:  # the extractor is trained, and held-out images are judged, once for a dataset
                timed(home, "-m", "genlib", "evaluate", str(run.path))
            seconds = timed(home, "-m", "genlib", "evaluate", str(run.path))
            training = load_config("configs/dcgan_mnist.yaml").training
            whole = training.steps * training.batch_size / run.result()["images_per_second"]
            rows.append(row(f"evaluating dcgan_mnist, {samples} samples / training it", seconds / whole, "<= 0.15"))
        return rows
