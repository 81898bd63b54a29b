"""A million colour images of 64x64 pixels in a file, streamed, against as many as lie in memory."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.lib.format import open_memmap

from genlib.config.run import RunConfig
from genlib.data.batches import Batches
from tests.benchmarks.alternate import alternate, row
from tests.benchmarks.families import Genlib

COUNT, SHAPE = 1_000_000, (3, 64, 64)
RESIDENT = 50_000  # of them, for the comparison
CHUNK = 4096
KINDS = ("resident", "streamed")
METHODS: dict[str, dict[str, Any]] = {
    "DCGAN of width 16, batch 64": {"name": "gan", "network": {"name": "dcgan", "width": 16}, "latent_size": 64},
    "MLP VAE, batch 64": {"name": "vae", "network": {"name": "mlp", "hidden_sizes": [512]}, "latent_size": 16},
}


@contextmanager
def many_images() -> Iterator[np.memmap]:
    """As many of COUNT as the disk has room for, in a file that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        room = shutil.disk_usage(folder).free // 2 // int(np.prod(SHAPE))
        file, count = Path(folder) / "images.npy", min(COUNT, room)
        made = open_memmap(file, "w+", np.uint8, (count, *SHAPE))
        noise = np.random.default_rng(0).integers(0, 256, (CHUNK, *SHAPE), dtype=np.uint8)
        for start in range(0, count, CHUNK):
            made[start : start + CHUNK] = (noise + np.uint8(start // CHUNK % 256))[: count - start]
        made.flush()
        del made
        yield np.load(file, mmap_mode="r")


def genlib_loop(method: dict[str, Any], file: str, resident: bool) -> Genlib:
    """In a process of its own, over a part that is resident, or all of it from the file."""
    torch.set_flush_denormal(True)  # as genlib train does
    images = np.load(file, mmap_mode="r")
    return (
        Genlib(config_of(method, 100), np.array(images[:RESIDENT]))
        if resident
        else Genlib(config_of(method, 0), images)
    )


def config_of(method: dict[str, Any], resident_gib: float) -> RunConfig:
    never = {"steps": 10**9, "sample_every": 10**9, "checkpoint_every": 10**9, "device": "cpu"}
    return RunConfig.model_validate(
        {
            "data": {"image_size": 64, "channels": 3},
            "method": method,
            "training": {"batch_size": 64, "resident_gib": resident_gib, **never},
            "registry": {"model": "bench"},
        }
    )


def measure_streaming() -> list[dict[str, Any]]:
    rows, process = [], psutil.Process()
    with many_images() as images:
        assert images.filename
        what = f"{len(images):,} images of 64x64"
        for name, method in METHODS.items():
            loops = {kind: partial(genlib_loop, method, images.filename, kind == "resident") for kind in KINDS}
            timed = alternate(loops)
            title = f"{what}, {name}: streamed / {RESIDENT:,} resident"
            rows.append(row(title, timed["resident"], timed["streamed"], ">= 0.95"))
        batches = Batches(
            images,
            None,
            batch_size=256,
            micro_batches=1,
            mine=range(1),
            draws=1,
            seed=0,
            device=torch.device("cpu"),
            resident_bytes=0,
        )
        steps, grown, rates = len(images) // 256, [], []
        for step in range(50):
            batches.of_step(step)
        before, began = process.memory_info().rss, time.perf_counter()
        for step in range(50, steps):
            batches.of_step(step)
            if step % 50 == 49:
                grown.append((process.memory_info().rss - before) / 1e6)
                rates.append(50 * 256 / (time.perf_counter() - began))
                began = time.perf_counter()
        spread = [round(quartile) for quartile in statistics.quantiles(rates, n=4)[::2]]
        rate = {"ratio": round(statistics.median(rates)), "range": spread, "wanted": ""}
        memory = {"ratio": round(max(grown)), "range": [], "wanted": "<= 200"}
        rows.append({"what": f"{what}: read without training, images/s", **rate})
        rows.append({"what": f"{what}: growth of resident memory over an epoch, MB", **memory})
    return rows
