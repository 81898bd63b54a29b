"""The published MNIST table (Burda et al. 2015, table 1, one stochastic layer), by the paper's schedule.

All of its 9.84 million steps where there is an NVIDIA GPU; elsewhere a part of them that goes through the same learning
rates in the same proportions, which the table's lines say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.data import CONFIGS, PROJECT, mnist_files

Row = dict[str, Any]
STEPS = 3280 * 60_000 // 20  # epochs, images, batch
PART = 400  # of which a CPU does one
PUBLISHED = {"VAE, k = 1": (1, 86.76, "<= 86.8"), "IWAE, k = 50": (50, 84.78, "<= 84.8")}
SETTINGS = [
    "method.optimizer={learning_rate: 0.001, epsilon: 0.0001, schedule: stages, final_share: 0.1}",
    "training.ema_half_life=0",
    "training.checkpoint_every=100000",
    "training.sample_every=1000000",
    "training.log_every=10000",
    "evaluation={samples: 100, seeds: 1, features: random, likelihood_samples: 5000}",
]


def measure_published() -> list[Row]:
    """Without MNIST's real files at hand they come from the hub, as the configuration says."""
    mnist, gpu = mnist_files(), torch.cuda.is_available()
    steps = STEPS if gpu else STEPS // PART
    settings = [*SETTINGS, f"training.steps={steps}", f"training.cuda_graphs={str(gpu).lower()}"]
    if mnist:
        settings.append(f"data.source={mnist}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (k, published, wanted) in PUBLISHED.items():
            run = Path(folder) / f"k{k}"
            nats, error, minutes = trained_and_judged(run, [*settings, f"method.importance_samples={k}"])
            shortened = "" if gpu else f", shortened: {steps:,} of {STEPS:,} steps"
            what = f"{name}{shortened}: test NLL, nats (published: {published}); {minutes:.0f} minutes of training"
            spread = [round(nats - error, 2), round(nats + error, 2)]
            of_all = wanted if gpu else f"{wanted} after all steps"
            rows.append({"what": what, "ratio": round(nats, 2), "range": spread, "wanted": of_all})
    return rows


def trained_and_judged(run: Path, settings: list[str]) -> tuple[float, float, float]:
    """The negative log-likelihood of the test images with its standard error, and the minutes that training took."""
    arguments = [str(CONFIGS / "iwae_mnist.yaml"), *(word for setting in settings for word in ("--set", setting))]
    began = time.perf_counter()
    genlib(run, "train", *arguments, "--run-dir", str(run))
    minutes = (time.perf_counter() - began) / 60
    genlib(run, "evaluate", str(run))
    found = json.loads((run / "evaluation.json").read_text())["metrics"]["log_likelihood"]
    return -found["value"], found["standard_error"], minutes


def genlib(run: Path, *arguments: str) -> None:
    environment = os.environ | {"GENLIB_HOME": str(run.parent / "home")}
    command = [sys.executable, "-m", "genlib", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
