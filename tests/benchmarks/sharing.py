"""A training's speed on a machine that another training uses too, with the number of threads that genlib chooses, and
with a thread for each core as torch has by default.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from genlib.runs.folder import RunFolder
from genlib.runtime.cores import cores
from tests.benchmarks.commands import own_home, row
from tests.folders import PROJECT

CONFIGURATIONS = ("dcgan_digits", "vae_digits")
ROUNDS = 3
SETTLED, END = 6.0, 16.0  # seconds of training: the speed counts from one, when threads have settled, past the other
NEVER = 10**9
QUIET = [f"training.{name}={NEVER}" for name in ("steps", "checkpoint_every", "sample_every")] + [
    "evaluation.every=null"
]
ALL = f"training.threads={cores()}"


def measure_sharing() -> list[dict[str, Any]]:
    return [line for name in CONFIGURATIONS for line in measure_configuration(name)]


def measure_configuration(name: str) -> list[dict[str, Any]]:
    """The rows of a configuration: alone and beside a training like it, in turn."""
    alone, beside, alone_all, beside_all = [], [], [], []
    with own_home() as home:
        subprocess.run(
            [sys.executable, "-m", "genlib", "prepare", name],
            cwd=PROJECT,
            env=os.environ | {"GENLIB_HOME": str(home)},
            check=True,
            capture_output=True,
        )
        for _ in range(ROUNDS):
            alone += speeds(name, home, 1)
            alone_all += speeds(name, home, 1, ALL)
            beside.append(speeds(name, home, 2))
            beside_all.append(speeds(name, home, 2, ALL))
    usual = statistics.median(alone)
    slower, slower_all = ([min(pair) / usual for pair in pairs] for pairs in (beside, beside_all))
    whole = [ours / theirs for ours, theirs in zip(alone, alone_all, strict=True)]
    of_all = f"with {cores()} threads"
    return [
        row(f"{name}: alone / alone {of_all}", statistics.median(whole), ">= 0.95", whole),
        row(f"{name}: the slower of two at once / alone", statistics.median(slower), ">= 0.6", slower),
        row(f"{name}: the slower of two at once, each {of_all} / alone", statistics.median(slower_all), "", slower_all),
    ]


def speeds(name: str, home: Path, trainings: int, *settings: str) -> list[float]:
    """Images per second of so many trainings at once, once each has its number of threads."""
    words = [word for setting in (*QUIET, "training.log_every=10", *settings) for word in ("--set", setting)]
    environment = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT")}
    runs, started = [], []
    try:
        for number in range(trainings):
            runs.append(RunFolder(home / f"run-{time.time_ns()}-{number}"))
            command = [sys.executable, "-m", "genlib", "train", name, *words, "--run-dir", str(runs[-1].path)]
            started.append(
                subprocess.Popen(
                    command, cwd=PROJECT, env=environment | {"GENLIB_HOME": str(home)}, stdout=subprocess.DEVNULL
                )
            )
        while not all(map(is_measured, runs)):
            if any(process.poll() is not None for process in started):
                raise RuntimeError(f"a training of {name} ended by itself; see its errors above.")
            time.sleep(0.5)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
    return [speed(run) for run in runs]


def counted(run: RunFolder) -> list[dict[str, Any]]:
    """The lines of metrics from which on the number of threads has settled."""
    lines = run.metrics() if run.metrics_file.exists() else []
    return [line for line in lines if line["seconds"] >= SETTLED]


def is_measured(run: RunFolder) -> bool:
    lines = counted(run)
    return len(lines) > 1 and lines[-1]["seconds"] >= END


def speed(run: RunFolder) -> float:
    """Images per second since SETTLED."""
    first, *_, last = counted(run)
    return (last["images"] - first["images"]) / (last["seconds"] - first["seconds"])
