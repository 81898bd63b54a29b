"""Training speed by family, as ratios to the loops that a user would write or pick instead."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks import peer
from tests.benchmarks.alternate import WARM, Make, Row, alternate, memory_row, row
from tests.benchmarks.families import FAMILIES, genlib_loop, images_of
from tests.benchmarks.loops import accelerate_loop, bare_loop, loader_loop, png_dataset

LONG = 3 * WARM  # seconds: the small VAEs' steps take 5 ms, and averages become denormal numbers after a thousand


def measure_training(names: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of the families with these names, by default all; each family's as soon as it was timed."""
    if unknown := set(names) - set(FAMILIES):
        sys.exit(f"'{unknown.pop()}' is no family; known: {'; '.join(FAMILIES)}.")
    for family in names or FAMILIES:
        yield from measure_family(family)


def measure_peers() -> list[Row]:
    return measure_conventional() + measure_peer()


def measure_family(family: str) -> list[Row]:
    loops: dict[str, Make] = {
        "bare loop": partial(bare_loop, family),
        "bare loop without denormals": partial(bare_loop, family, flush=True),
        "genlib": partial(genlib_loop, family),
        "genlib compiled": partial(genlib_loop, family, compile=True),
    }
    if FAMILIES[family]["method"]["network"]["name"] != "mlp":
        loops["genlib channels_last"] = partial(genlib_loop, family, channels_last=True)
    timed = alternate(loops)
    bare, flushed = timed["bare loop"], timed["bare loop without denormals"]
    wanted = {"genlib": ">= 0.97", "genlib compiled": "> 1", "genlib channels_last": ""}
    rows = [row(f"{family}: {name} / bare loop", bare, timed[name], wanted[name]) for name in wanted if name in timed]
    return [
        *rows,
        row(f"{family}: genlib / bare loop that flushes denormals too", flushed, timed["genlib"], ""),
        memory_row(f"{family}: peak memory, GB", timed["genlib"]),
        memory_row(f"{family}: the bare loop's peak memory, GB", bare),
    ]


def measure_conventional() -> list[Row]:
    """The MLP VAE against loops over DataLoaders."""
    family = "MLP VAE, 28x28, batch 128"
    files = png_dataset(images_of(family)[:6000])
    wanted = {"DataLoader over PIL images": ">= 3", "the same with 2 workers": ">= 3", "Accelerate's example loop": ""}
    with tempfile.TemporaryDirectory() as folder:
        files.save_to_disk(folder)
        timed = alternate(
            {
                "genlib": partial(genlib_loop, family),
                "DataLoader over PIL images": partial(loader_loop, family, folder, workers=0),
                "the same with 2 workers": partial(loader_loop, family, folder, workers=2),
                "Accelerate's example loop": partial(accelerate_loop, family),
            },
            warm=LONG,
        )
    return [row(f"{family}: genlib / {name}", timed[name], timed["genlib"], wanted[name]) for name in wanted]


def measure_peer() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        peer.install(Path(folder))
        timed = alternate(
            {
                "genlib": partial(peer.genlib_loop, folder),
                "pythae": partial(peer.pythae_loop, folder, fused=True),
                "pythae with its default optimizer": partial(peer.pythae_loop, folder),
            },
            warm=LONG,
        )
    wanted = {"pythae": ">= 1.2", "pythae with its default optimizer": ""}
    what = "pythae's MLP VAE, 28x28, batch 128: genlib /"
    return [row(f"{what} {name}", timed[name], timed["genlib"], wanted[name]) for name in wanted]
