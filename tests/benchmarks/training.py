"""Training speed by family, as ratios to the loops that a user would write or pick instead."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from genlib.memory import keep_freed_memory
from tests.benchmarks import peer
from tests.benchmarks.families import FAMILIES, Genlib, config_of, images_of
from tests.benchmarks.loops import AccelerateLoop, BareLoop, LoaderLoop, png_dataset
from tests.conftest import PROJECT

Loop = Callable[[int], None]
Row = dict[str, Any]
ROUNDS = 31
CHUNK = 0.4  # seconds of one loop's turn: the machine's speed must not change between those of a round


def alternate(loops: Mapping[str, Loop], rounds: int = ROUNDS, chunk: float = CHUNK) -> dict[str, list[float]]:
    """Seconds a step of each loop, round by round; all take as many steps in a round."""
    for loop in loops.values():
        loop(2)  # pays for memory, and for compiling
    steps = max(1, round(chunk / min(seconds_of(loop, 2) for loop in loops.values())))
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds):
        for name in sorted(loops, reverse=turn % 2 == 1):  # none is always the first
            found[name].append(seconds_of(loops[name], steps))
    return found


def seconds_of(loop: Loop, steps: int) -> float:
    """Each loop has the heap as in a process of its own: genlib's as it sets it, the others' as glibc comes to have it
    after large tensors. One step that does not count comes first, and meets what the last loop has left.
    """
    if isinstance(loop, Genlib):
        keep_freed_memory()
    else:
        keep_freed_memory(trim=64 * 2**20, mmap=32 * 2**20)
    loop(1)
    began = time.perf_counter()
    loop(steps)
    return (time.perf_counter() - began) / steps


def measure_training() -> list[Row]:
    rows = []
    for family in FAMILIES:
        rows += measure_family(family)
    return rows + measure_conventional() + measure_peer()


def measure_family(family: str) -> list[Row]:
    torch.compiler.reset()  # it compiles one function a few times only, and this one is in every family
    images = images_of(family)
    loops: dict[str, Loop] = {
        "bare loop": BareLoop(config_of(family), images),
        "genlib": Genlib(config_of(family), images),
        "genlib compiled": Genlib(config_of(family, compile=True), images),
    }
    if FAMILIES[family]["method"]["network"]["name"] != "mlp":
        loops["genlib channels_last"] = Genlib(config_of(family, channels_last=True), images)
    seconds = alternate(loops)
    wanted = {"genlib": ">= 0.97", "genlib compiled": "> 1", "genlib channels_last": ""}
    rows = [
        row(f"{family}: {name} / bare loop", seconds["bare loop"], seconds[name], wanted[name])
        for name in wanted
        if name in loops
    ]
    return [*rows, memory_row(family)]


def memory_row(family: str) -> Row:
    """In a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.families", family]
    said = subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True).stdout
    return {"what": f"{family}: peak memory, GB", "ratio": round(int(said) / 1e9, 3), "range": [], "wanted": ""}


def measure_conventional() -> list[Row]:
    """The MLP VAE against loops over DataLoaders."""
    family = "MLP VAE, 28x28, batch 128"
    config, images = config_of(family), images_of(family)
    files = png_dataset(images[:6000])
    loops: dict[str, Loop] = {
        "genlib": Genlib(config, images),
        "DataLoader over PIL images": LoaderLoop(config, files, workers=0),
        "the same with 2 workers": LoaderLoop(config, files, workers=2),
        "Accelerate's example loop": AccelerateLoop(config, images),
    }
    seconds = alternate(loops)
    wanted = {"DataLoader over PIL images": ">= 3", "the same with 2 workers": ">= 3", "Accelerate's example loop": ""}
    return [row(f"{family}: genlib / {name}", seconds[name], seconds["genlib"], wanted[name]) for name in wanted]


def measure_peer() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = alternate(peer.loops(images_of("MLP VAE, 28x28, batch 128"), Path(folder)))
    wanted = {"pythae": ">= 1.2", "pythae with its default optimizer": ""}
    what = "pythae's MLP VAE, 28x28, batch 128: genlib /"
    return [row(f"{what} {name}", seconds[name], seconds["genlib"], wanted[name]) for name in wanted]


def row(what: str, theirs: list[float], ours: list[float], wanted: str) -> Row:
    """How many times faster ours is, by their seconds a step."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {
        "what": what,
        "ratio": round(statistics.median(ratios), 3),
        "range": [round(quartile, 3) for quartile in statistics.quantiles(ratios, n=4)[::2]],
        "wanted": wanted,
        "milliseconds_a_step": [round(1000 * statistics.median(ours), 3), round(1000 * statistics.median(theirs), 3)],
    }
