"""Whether each variant does what its paper says: trainings with seeds 0 to 2, judged as a user's runs are."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Any

from tests.folders import CONFIGS

SEEDS = (0, 1, 2)
QUICK = ["evaluation.every=null", "evaluation.seeds=1", "evaluation.likelihood_samples=100", "training.device=cpu"]

Row = dict[str, Any]
Found = dict[str, float]  # metrics of an evaluation, and the last line of metrics.jsonl

RUNS: dict[str, tuple[str, list[str]]] = {
    **{
        f"{method} {points}": (f"{method}_{points}", [])
        for points in ("ring8", "grid25")
        for method in ("gan_minimax", "pacgan", "r3gan")
    },
    "vae": ("vae_digits", []),
    "autoencoder": ("autoencoder_digits", []),
    "autoencoder, mixture": ("autoencoder_digits", ["method.latents=mixture"]),
    "rae": ("rae_digits", []),
    **{f"beta {beta}": ("beta_vae_digits", [f"method.divergence.beta={beta}"]) for beta in (0.25, 1, 4)},
    "beta_tc": ("beta_tc_vae_digits", []),
    "vq_vae": ("vq_vae_digits", []),
    "cvae": ("cvae_digits", []),
    "cgan": ("cgan_digits", []),
}


def measure_properties(names: Sequence[str] = tuple(RUNS)) -> list[Row]:
    """A row for each property; the figure is the worst seed's, the range that of the seeds."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as workers:
        wanted = [(name, seed) for name in names for seed in SEEDS]
        runs = dict(zip(wanted, workers.map(lambda run: found_in(Path(folder), *run), wanted), strict=True))
    return rows({name: [runs[name, seed] for seed in SEEDS] for name in names})


def found_in(folder: Path, name: str, seed: int) -> Found:
    """What a configuration's run with a seed gives."""
    run = judged(folder / f"{name}-{seed}", *RUNS[name], seed)
    metrics = json.loads((run / "evaluation.json").read_text())["metrics"]
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    found = last | {metric: entry["value"] for metric, entry in metrics.items()}
    print(name, seed, {key: round(value, 4) for key, value in found.items() if key in SHOWN}, flush=True)
    return found


def judged(run: Path, config: str, overrides: Sequence[str], seed: int, threads: int = 1) -> Path:
    """The folder of a run that was trained and evaluated."""
    folder, settings = run.parent, [*QUICK, *overrides, f"training.seed={seed}", f"evaluation.seed={seed}"]
    home = {"GENLIB_HOME": os.environ.get("GENLIB_HOME", str(folder / "home"))}
    on_cores = {"OMP_NUM_THREADS": str(threads)}
    arguments = [str(CONFIGS / f"{config}.yaml"), *(part for setting in settings for part in ("--set", setting))]
    for command in (["train", *arguments, "--run-dir", str(run)], ["evaluate", str(run)]):
        program = [sys.executable, "-m", "genlib", *command]
        done = subprocess.run(program, env=os.environ | on_cores | home, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return run


SHOWN = ("modes", "high_quality", "reverse_kl", "fd_classifier", "kl", "reconstruction", "label_accuracy")


def rows(found: dict[str, list[Found]]) -> list[Row]:
    """Of those properties whose runs are there."""
    table: list[Row] = []
    for points, modes, share in (("ring8", "8", "0.95 or more"), ("grid25", "24 or more", "")):
        for method in ("gan_minimax", "pacgan", "r3gan"):
            runs, loses = found.get(f"{method} {points}", []), method == "gan_minimax"
            wanted = ("modes are lost", "") if loses else (modes, share if method == "r3gan" else "")
            table += of_runs(f"{method} on {points}: modes", runs, itemgetter("modes"), wanted[0], most=loses)
            table += of_runs(f"{method} on {points}: high quality", runs, itemgetter("high_quality"), wanted[1])
    needed = ("vae", "autoencoder", "autoencoder, mixture")
    if all(name in found for name in needed):
        distances = [[run["fd_classifier"] for run in found[name]] for name in needed]
        worse = [plain / vae for vae, plain, _ in zip(*distances, strict=True)]
        closed = [(plain - mixture) / (plain - vae) for vae, plain, mixture in zip(*distances, strict=True)]
        table.append(row_of("autoencoder from N(0, I) / vae, fd_classifier", worse, "far above 1"))
        table.append(row_of("of that gap closed by a mixture fitted to the latents", closed, "above 0.5"))
    table += of_runs(
        "rae with its mixture, fd_classifier", found.get("rae", []), itemgetter("fd_classifier"), most=True
    )
    betas = [found[name] for name in ("beta 0.25", "beta 1", "beta 4") if name in found]
    for part in ("kl", "reconstruction"):
        for low, high, names in zip(betas, betas[1:], ("beta 1 / 0.25", "beta 4 / 1"), strict=False):
            ratios = [heavy[part] / light[part] for heavy, light in zip(high, low, strict=True)]
            table.append(row_of(f"{part}, {names}", ratios, "below 1" if part == "kl" else "above 1", part == "kl"))
    table += of_runs("vq_vae: perplexity / codes", found.get("vq_vae", []), perplexity_share, "above 0.5")
    for name in ("cvae", "cgan"):
        table += of_runs(f"{name}: label accuracy", found.get(name, []), itemgetter("label_accuracy"), "0.9 or more")
    return table


def perplexity_share(run: Found) -> float:
    return run["autoencoder/perplexity"] / 64


def of_runs(
    what: str, runs: list[Found], figure: Callable[[Found], float], wanted: str = "", most: bool = False
) -> list[Row]:
    return [row_of(what, [figure(run) for run in runs], wanted, most)] if runs else []


def row_of(what: str, figures: list[float], wanted: str, most: bool = False) -> Row:
    """The worst of the seeds' figures: the least, or the `most`."""
    worst = max(figures) if most else min(figures)
    return {
        "what": what,
        "ratio": round(worst, 3),
        "median": round(statistics.median(figures), 3),
        "range": [round(figure, 3) for figure in figures],
        "wanted": wanted,
    }


if __name__ == "__main__":
    for found in measure_properties(sys.argv[1:] or tuple(RUNS)):
        print(found)
