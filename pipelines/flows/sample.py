"""The flow that draws from a registered model: N images in a folder."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import torch
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from PIL import Image
from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact

from genlib.data.context_files import read_contexts
from genlib.errors import UserError
from genlib.pixels.pictures import write_npz
from genlib.sampling.load import load_sampler
from genlib.sampling.requests import whole
from genlib.storage.files import sha256_of_json, whole_folder, write_json
from genlib.storage.home import home
from pipelines.registry.versions import CHAMPION, existing_model, existing_version
from pipelines.servers import environment
from pipelines.serving.packaging import fetch_sampler
from pipelines.text import slug


@flow(name="sample", flow_run_name="{model}")
def sample(
    model: str,
    count: int = 64,
    labels: list[str] | None = None,
    seed: int = 0,
    version: str = CHAMPION,
    output: str | None = None,
    condition: str | None = None,
    resize: bool = False,
) -> str:
    """Write images drawn from a registered model into a folder: PNG files, or points.npz; returns the folder.

    Args:
        model: Name of a registered model, such as vae-digits.
        count: How many.
        labels: Of a conditional model: names, in turn; or indices from 0, where no name is a number.
        seed: The same seed gives the same images.
        version: A version's number or its alias.
        output: A folder that is not there yet (default: one under GENLIB_HOME/samples).
        condition: For a model with a condition: a file or folder of images, or a caption; count samples are drawn of
            each.
        resize: Whether images of another size that condition names are cut to their centre and scaled.
    """
    count, seed = whole(count, "count", 1), whole(seed, "seed")
    environment.configure(by_worker=bool(runtime.deployment.id))
    environment.check_mlflow_address()
    chosen = version_of(model, version)
    if condition is not None and labels is not None:
        raise UserError("labels and condition do not go together; give the one that the model takes.")
    if resize and condition is None:
        raise UserError("resize scales the images that condition names; leave it out.")
    given = {"labels": labels, "condition": condition} | ({"resize": True} if resize else {})
    of_given = f"-{sha256_of_json(given)[:8]}" if any(given.values()) else ""
    name = f"{model}-{chosen.version}-seed-{seed}-{count}{of_given}"
    folder = Path(output or home() / "samples" / name).absolute()
    if output and folder.exists():
        raise UserError(f"output {folder} exists; name another folder.")
    make_parent(folder)
    with TemporaryDirectory() as scratch:
        fetched = fetch_sampler(chosen, Path(scratch))
        if fetched is None:
            raise UserError(
                f"the sampler of {model} version {chosen.version} is gone from MLflow; name another version."
            )
        sampler = load_sampler(fetched)
    named = None if labels is None else sampler.labels_named(labels, count)
    if condition is None:
        samples = sampler.images(count, seed, labels=named)
    elif sampler.condition is None:
        raise UserError(f"{model} version {chosen.version} was trained without a condition; leave out condition.")
    else:
        samples = sampler.images_of_contexts(read_contexts(condition, sampler.condition, resize), count, seed)
    provenance: dict[str, object] = {"model": model, "version": str(chosen.version), "mlflow_run": chosen.run_id}
    asked = {"seed": seed, "labels": None if named is None else named.tolist(), "condition": condition}
    write_folder(folder, samples, provenance | asked)
    get_run_logger().info("%s samples of %s version %s: %s", len(samples), model, chosen.version, folder)
    create_markdown_artifact(
        f"{len(samples)} samples of **{model}** version {chosen.version}, seed {seed}: `{folder}`",
        key=f"{slug(model)}-samples",
    )
    return str(folder)


def version_of(model: str, version: str) -> ModelVersion:
    """UserError for a model, version or alias that is not there."""
    client = MlflowClient()
    aliases = existing_model(client, model).aliases
    return existing_version(client, model, str(aliases.get(version, version)))


def make_parent(folder: Path) -> None:
    """UserError, before anything is drawn, where the folder could not be made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder.parent):  # it leaves nothing behind
            pass
    except OSError as error:
        raise UserError(f"output {folder} cannot be written ({error.strerror}); name another folder.") from error


def write_folder(folder: Path, samples: torch.Tensor, provenance: dict[str, object]) -> None:
    """Write PNGs, or points.npz, and samples.json: the whole folder or nothing."""
    with whole_folder(folder) as partial:
        if samples.ndim == 2:
            write_npz(partial / "points.npz", samples)
        else:
            for index, image in enumerate(samples):
                pixels = image.permute(1, 2, 0).squeeze(2) if len(image) == 1 else image.permute(1, 2, 0)
                Image.fromarray(pixels.contiguous().numpy()).save(partial / f"{index:08d}.png")
        write_json(partial / "samples.json", provenance)
