"""`make gallery`: small models of every kind of task, trained on real digits, and one page of their pictures."""

from __future__ import annotations

import shlex
from pathlib import Path

from genlib.config.load import load_config
from genlib.config.shipped import shipped
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.storage.files import write_bytes
from genlib.storage.home import home

# What is shown, of which configuration, and with what changed so that all of it takes some ten minutes.
PIECES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Digits from noise: a VAE": ("vae_digits", ()),
    "Digits by label: a conditional VAE": ("cvae_digits", ()),
    "Twice the resolution: a VAE": ("super_resolution_vae_digits", ("training.steps=1500",)),
    "Twice the resolution: a GAN": ("super_resolution_gan_digits", ()),
    "Hidden pixels: a VAE": ("inpainting_vae_digits", ("training.steps=2000",)),
    "Hidden pixels: a GAN": ("inpainting_gan_digits", ("training.steps=4000",)),
    "From captions: codes after words": (
        "captions_digits",
        ("data.scenes=20000", "training.steps=3000", "method.autoencoder_share=0.5"),
    ),
}
ALWAYS = ("evaluation.every=null", "evaluation.seeds=1")


def gallery() -> str:
    """Train and evaluate the runs that are not there yet, write the page; returns where it is."""
    folder = home() / "gallery"
    folder.mkdir(exist_ok=True)
    runs = {title: trained(folder / name, name, settings) for title, (name, settings) in PIECES.items()}
    from genlib.evaluation.report.gallery import Piece, gallery

    page = gallery([Piece(title, run, command_of(*PIECES[title])) for title, run in runs.items()])
    write_bytes(folder / "index.html", page.encode())
    return f"{folder / 'index.html'}\n"


def trained(run_dir: Path, name: str, settings: tuple[str, ...]) -> RunFolder:
    """A run folder that is trained and evaluated, gone on with where it was left."""
    from genlib.evaluation.evaluate import evaluate
    from genlib.training.train import train

    run = RunFolder(run_dir)
    config = load_config(shipped()[name], [*settings, *ALWAYS])
    if run.exists():
        run.refuse_another(config, free=("training.micro_batches",), remedy=f"delete {run_dir}")
    if run.result().get("status") != "finished" and (code := train(config, run_dir)):
        raise UserError(f"{name} was not trained to its end (code {code}); call again, or delete {run_dir}.")
    if not run.evaluation_file.exists():
        evaluate(run)
    return run


def command_of(name: str, settings: tuple[str, ...]) -> str:
    changed = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    return f"genlib train {name}{changed}"
