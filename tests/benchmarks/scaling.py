"""Several processes: measured for two on this machine's cores, and on paper for GPUs.

`torchrun -m tests.benchmarks.scaling FAMILY STEPS` trains, and prints the seconds a step.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from accelerate import PartialState

from tests.benchmarks.families import FAMILIES, Genlib, config_of, images_of
from tests.benchmarks.loops import method_of
from tests.folders import PROJECT

Row = dict[str, Any]
MEASURED = {"MLP VAE, 28x28, batch 128": 150, "DCGAN, 32x32, batch 64": 8}  # steps of a turn
ROUNDS = 5
# For the paper: a ring all-reduce moves 2 (n - 1) / n of the gradients over the slowest link, and waits 2 (n - 1)
# times for it. NVLink of an H100 and one 400 Gbit/s adapter a GPU, one way, and what a hop takes.
LINKS = {"8 GPUs of a node": (8, 450e9, 3e-6), "8 nodes of 8 GPUs": (64, 50e9, 10e-6)}
HIDDEN = 0.5  # share of a step in which gradients can travel beside the backward pass
GOOD = 0.95


def seconds_a_step(family: str, processes: int) -> float:
    """Of `processes`, one thread each; every process has a whole batch."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "tests.benchmarks.scaling", family, str(MEASURED[family])],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split()[-1])


def measure_scaling() -> list[Row]:
    rows = []
    for family in MEASURED:
        found = [seconds_a_step(family, 1) / seconds_a_step(family, 2) for _ in range(ROUNDS)]
        what = f"{family} for each process: efficiency of 2 processes on 2 cores, against 1 on 1"
        spread = [round(min(found), 3), round(max(found), 3)]
        rows.append({"what": what, "ratio": round(statistics.median(found), 3), "range": spread, "wanted": ""})
    return rows + [on_paper(family, link) for family in FAMILIES for link in LINKS]


def on_paper(family: str, link: str) -> Row:
    """How long a step must take at least for an efficiency of GOOD: what travels and cannot be hidden is the rest."""
    ranks, bandwidth, latency = LINKS[link]
    phases = method_of(config_of(family)).phases
    times = 0.0
    for phase in phases:
        gradients = 4 * sum(parameter.numel() for parameter in phase.trains.parameters())
        reduction = 2 * (ranks - 1) / ranks * gradients / bandwidth + 2 * (ranks - 1) * latency
        times += phase.repeats * reduction
    # efficiency = step / (step + max(0, times - HIDDEN * step))
    least = times / (HIDDEN + 1 / GOOD - 1)
    what = f"{family}: on paper, {link}, least step for an efficiency of {GOOD}, ms"
    return {"what": what, "ratio": round(1000 * least, 3), "range": [], "wanted": ""}


if __name__ == "__main__":
    family, steps = sys.argv[1], int(sys.argv[2])
    config = config_of(family, batch_size=FAMILIES[family]["training"]["batch_size"] * int(os.environ["WORLD_SIZE"]))
    torch.set_flush_denormal(True)  # as genlib train does
    loop = Genlib(config, images_of(family))
    loop(3)
    began = time.perf_counter()
    loop(steps)
    if PartialState().is_main_process:
        print((time.perf_counter() - began) / steps)
    PartialState().destroy_process_group()
