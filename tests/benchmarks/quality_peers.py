"""How good the samples of other projects' trainers are, on the same files, in the same minutes, by the same evaluation.

The environment variable PEERS names a folder with checkouts of the projects; pythae is installed by pip into a folder
of its own. Each row is one training with one seed, in a process of its own, and its samples are judged by
`genlib evaluate --images`. They stay in GENLIB_HOME/benchmarks/quality_peers: a row that was trained is not trained
again, unless its entry of PEER_ROWS or its configuration's data or evaluation changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.data.folder import images_file
from genlib.data.making.prepare import prepare
from genlib.errors import one_line
from genlib.runtime.provenance import git_state
from genlib.storage.files import read_json, sha256_of_json, write_json
from genlib.storage.home import home
from tests.benchmarks import peer
from tests.benchmarks.data import files_of, local_source
from tests.benchmarks.quality import IMAGENET, Failed, by_imagenet, genlib, number, state_of_code
from tests.benchmarks.quality_rows import ROWS, Wanted
from tests.benchmarks.tables import Row
from tests.folders import CONFIGS, PROJECT

SEED = 0
COMPARED: dict[str, Wanted] = {row.row: row for row in ROWS}


class Project(NamedTuple):
    url: str
    commit: str  # that the drivers were written for


PROJECTS = {
    "gans-pytorch": Project("https://github.com/xyfJASON/gans-pytorch", "8ba548d"),
    "mimicry": Project("https://github.com/kwotsin/mimicry", "a7fda06"),
    "R3GAN": Project("https://github.com/brownvc/R3GAN", "19a7ddf"),
    "pythae": Project("https://github.com/clementchadebec/benchmark_VAE", peer.PEER[0]),
}


class Peer(NamedTuple):
    """A row of the table."""

    row: str
    project: str
    driver: str  # of peer_drivers
    what: str
    beside: str  # the row of quality that it is compared with, whose configuration names the data
    minutes: float  # of training
    settings: tuple[str, ...] = ()  # key=value, for the driver

    @property
    def configuration(self) -> Path:
        return CONFIGS / f"{COMPARED[self.beside].configuration}.yaml"

    @property
    def shown(self) -> tuple[str, ...]:
        return COMPARED[self.beside].shown


# Networks, batches and rates that suit a CPU, as those of quality's rows do: what the projects themselves trained on
# GPUs takes a handful of steps in these minutes. The rate is that of Radford et al. 2015, as in dcgan_cifar10.yaml.
SMALL_GANS_PYTORCH = (
    *("config=gan_cifar10.yaml", "G.params.dim=32", "D.params.dim=32", "train.batch_size=64", "train.d_iters=1"),
    *("train.optim_G.params.lr=0.0002", "train.optim_D.params.lr=0.0002"),
)

PEER_ROWS = (
    Peer(
        *("gans_pytorch_mnist", "gans-pytorch", "gans_pytorch", "GAN of perceptrons, its gan_mnist.yaml"),
        *("cgan_mnist", 10, ("config=gan_mnist.yaml",)),
    ),
    Peer(
        *("gans_pytorch_cifar10", "gans-pytorch", "gans_pytorch", "DCGAN, smaller than its gan_cifar10.yaml"),
        *("cgan_cifar10", 30, SMALL_GANS_PYTORCH),
    ),
    Peer(
        *("mimicry_sngan_cifar10", "mimicry", "mimicry_sngan", "SNGAN, hinge loss, narrower than in its README"),
        *("cgan_cifar10", 30, ("ngf=32", "ndf=32")),
    ),
    Peer(
        *("r3gan_cifar10", "R3GAN", "r3gan_official", "R3GAN, narrower than its preset CIFAR10, no labels"),
        *("cgan_cifar10", 30, ("width=32", "blocks=1", "batch=32")),
    ),
    Peer(
        *("pythae_vae_mnist", "pythae", "pythae_vae", "VAE, its benchmarks' residual networks"),
        *("vae_mnist", 2, ("latent_dim=16", "networks=ResNet")),
    ),
    Peer(
        *("pythae_vae_mlp_mnist", "pythae", "pythae_vae", "VAE, its default perceptrons"),
        *("vae_mnist", 2, ("latent_dim=16", "networks=default")),
    ),
    Peer(
        *("pythae_vqvae_mnist", "pythae", "pythae_vqvae", "VQ-VAE, its benchmarks' residual networks, and PixelCNN"),
        *("vq_vae_mnist", 10),
    ),
    Peer(
        *("pythae_vae_cifar10", "pythae", "pythae_vae", "VAE, its benchmarks' residual networks"),
        *("vae_gan_cifar10", 30, ("latent_dim=256", "networks=ResNet")),
    ),
    Peer(
        *("pythae_vqvae_cifar10", "pythae", "pythae_vqvae", "VQ-VAE, its benchmarks' residual networks, and PixelCNN"),
        *("vae_gan_cifar10", 30),
    ),
)


def measure_quality_peers(names: Sequence[str] = ()) -> Iterator[Row]:
    """Rows; all by default. Those without their data or their project are left out, with a line that says so."""
    known = {row.row: row for row in PEER_ROWS}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"'{unknown[0]}' is no row of quality_peers; known: {', '.join(known)}.")
    for row in [known[name] for name in names or known]:
        source = local_source(load_config(row.configuration))
        if source is None:
            print(f"{row.row}: left out, its data are not at hand; MNIST or CIFAR10 names their folder.", flush=True)
            continue
        try:
            folder = folder_of(row.project)
        except Failed as error:
            print(f"{row.row}: left out, {error}", flush=True)
            continue
        yield row_of(row, found_in(row, source, folder))


def folder_of(project: str) -> Path:
    """Where a project lies; Failed, with the remedy, where it does not."""
    if project == "pythae":
        return pythae_folder()
    peers, (url, commit) = files_of("PEERS"), PROJECTS[project]
    if peers is None or not (peers / project).is_dir():
        raise Failed(
            f"PEERS names no folder that holds {project}; there: "
            f"git clone {url} && git -C {project} checkout {commit} (the commit that was measured)."
        )
    return peers / project


def pythae_folder() -> Path:
    """The folder that pythae is installed in, beside genlib; Failed where it cannot be."""
    folder = home() / "benchmarks" / "quality_peers" / sha256_of_json(peer.PEER)[:8]
    if not (folder / "pythae").is_dir():
        try:
            peer.install(folder)
        except subprocess.CalledProcessError as error:
            raise Failed(f"pip could not install {', '.join(peer.PEER)}.") from error
    return folder


def found_in(row: Peer, source: str, folder: Path) -> dict[str, Any]:
    """What the driver told, `metrics` by sampler and name, and commits; or `failed`, the reason."""
    config = load_config(row.configuration, [f"data.source={source}"])
    output = output_of(row, config)
    try:
        if not (output / "result.json").exists():
            write_json(output / "result.json", driven(row, config, folder, output) | commits_of(row, folder))
        found = read_json(output / "result.json")
        samplers: list[str] = found["samples"]
        return found | {"metrics": {sampler: judged(row, source, output / f"{sampler}.npy") for sampler in samplers}}
    except Failed as error:
        return commits_of(row, folder) | {"failed": str(error)}


def output_of(row: Peer, config: RunConfig) -> Path:
    """The folder of a row's samples and evaluations, apart from those of other settings."""
    decisive = [row.driver, row.minutes, row.settings, SEED]
    asked = [section.model_dump(mode="json") for section in (config.data, config.evaluation)]
    return home() / "benchmarks" / "quality_peers" / f"{row.row}-{sha256_of_json([decisive, asked])[:8]}"


def driven(row: Peer, config: RunConfig, folder: Path, output: Path) -> dict[str, Any]:
    """Train, and draw as many samples as a configuration's evaluation asks for; Failed where the driver fails."""
    output.mkdir(parents=True, exist_ok=True)
    array = images_file(prepare(config.data, progress=False).path, "train")
    words = [row.driver, folder, array, row.minutes, config.evaluation.samples, output, SEED]
    options = [word for setting in row.settings for word in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.peer_drivers", *map(str, words), *options],
        cwd=PROJECT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = one_line((done.stderr.strip() or "no message").splitlines()[-1])
        for path, word in ((home(), "GENLIB_HOME"), (folder, row.project), (PROJECT, ".")):
            reason = reason.replace(str(path), word)
        raise Failed(f"{row.driver} ended with {done.returncode}: {reason}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def commits_of(row: Peer, folder: Path) -> dict[str, str]:
    """genlib's commit, marked where code was not committed, and the project's commit or version."""
    theirs = PROJECTS[row.project].commit
    if row.project != "pythae":
        theirs = git_state(folder)["git.commit"][:7]
    return {"commit": state_of_code(), "peer_commit": theirs}


def judged(row: Peer, source: str, samples: Path) -> dict[str, dict[str, float | None]]:
    """The shown metrics of these samples, as `quality` shows them of genlib's."""
    features: dict[str, Sequence[str]] = {"classifier": ()} | ({"imagenet": IMAGENET} if by_imagenet(row.shown) else {})
    entries: dict[str, Any] = {}
    for name, options in features.items():
        output = samples.with_name(f"{samples.stem}-{name}")
        if not (output / "evaluation.json").exists():
            data = ["--data", str(row.configuration), "--set", f"data.source={source}", *options]
            genlib("evaluate", "--images", str(samples), *data, "--output", str(output))
        entries = read_json(output / "evaluation.json")["metrics"] | entries  # the classifier's precision and coverage
    return {
        name: {key: entries[name].get(key) for key in ("value", "floor", "baseline")}
        for name in row.shown
        if entries.get(name)
    }


def row_of(row: Peer, found: dict[str, Any]) -> Row:
    """The row of RESULTS.json."""
    metrics = [
        {"metric": metric, "sampler": sampler, **{key: number(value) for key, value in entry.items()}}
        for sampler, entries in found.get("metrics", {}).items()
        for metric, entry in entries.items()
    ]
    return {
        "row": row.row,
        "peer": PROJECTS[row.project].url,
        "peer_commit": found["peer_commit"],
        "what": row.what,
        "settings": list(row.settings),
        "configuration": COMPARED[row.beside].configuration,
        "beside": row.beside,
        "minutes": f"{found['seconds'] / 60:.1f}" if "seconds" in found else "-",
        "steps": found.get("steps", "-"),
        "images_per_second": found.get("images_per_second", "-"),
        "metrics": metrics,
        "commit": found["commit"],
        "failed": found.get("failed", ""),
    }
