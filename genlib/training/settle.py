"""An averaged model is made ready for use: batch-norm statistics, sigma and latents are estimated under its weights."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from genlib.conditions import ConditionConfig
from genlib.contexts.base import Condition
from genlib.data.config import DataConfig
from genlib.data.folder import DatasetFolder
from genlib.layers.base import DataSpec
from genlib.layers.batch_norm import reestimate_batch_norm
from genlib.layers.likelihood import FittedLikelihood
from genlib.models.base import Batch, EncoderModel, GenerativeModel, LatentVariableModel
from genlib.models.sampler import Sampler
from genlib.pixels.scale import binarized, to_unit
from genlib.runtime.randomness import generator_for, seed_draws
from genlib.sampling.draw import draw_labels, draw_latents

BATCHES, BATCH_SIZE = 16, 256  # of train images that a model is settled with
NORM_BATCHES = 16  # chunks of fixed latents that batch-norm statistics are estimated from


def spec_of(dataset: DatasetFolder, condition: ConditionConfig) -> DataSpec:
    """The facts about the data that a model is built from."""
    manifest = dataset.manifest
    shape, classes = tuple(manifest.shape), len(dataset.label_shares() or ())
    return DataSpec(shape, classes, manifest.counts["train"], condition.build(shape, dataset.scene_names))


def settle(model: GenerativeModel, dataset: DatasetFolder, data: DataConfig) -> None:
    """Make `model` ready for sampling; leaves it in eval mode and the global generators as they were."""
    settle_encoder(model, dataset, data)
    estimate_norms(model.sampler, dataset.label_shares())
    model.eval()


@torch.no_grad()
def estimate_norms(sampler: Sampler, label_shares: list[float] | None = None) -> None:
    """Batch-norm statistics under the sampler's present weights, from fixed latents; leaves it in eval mode."""
    device = next(sampler.parameters()).device

    def inputs(chunk: int) -> tuple[Tensor, Tensor | None]:
        labels = draw_labels(label_shares, 0, chunk).to(device) if sampler.classes and label_shares else None
        return draw_latents(sampler.latent_size, 0, chunk).to(device), labels

    chunks = range(-NORM_BATCHES, 0)  # latents that no sample is drawn from
    reestimate_batch_norm(sampler, lambda chunk: sampler(*inputs(chunk)), chunks)


@torch.no_grad()
def settle_encoder(model: GenerativeModel, dataset: DatasetFolder, data: DataConfig) -> None:
    """Make `model` ready for encoding and decoding: estimate batch-norm statistics, sigma and latents over a fixed
    choice of train images.
    """
    if not isinstance(model, EncoderModel):
        return
    device = next(model.parameters()).device
    batches = train_batches(dataset, device, data.binarize == "draw", model.sampler.condition)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed_draws(0, device)
        reestimate_batch_norm(model, lambda batch: there_and_back(model, batch), batches)
        for likelihood in [module for module in model.modules() if isinstance(module, FittedLikelihood)]:
            likelihood.begin_fit()
            for batch in batches:
                there_and_back(model, batch)
            likelihood.end_fit()
        if model.sampler.latents is not None:
            model.sampler.latents.fit(torch.cat([model.encode(batch) for batch in batches]))


def there_and_back(model: EncoderModel, batch: Batch) -> Tensor:
    """Encode and decode, with a draw of the latents where they are random, as in training."""
    if isinstance(model, LatentVariableModel):
        noise = torch.randn(len(batch.images), model.noise_size, device=batch.images.device)
        return model.weigh(batch, model.posterior(batch), noise).log_likelihood
    return model.reconstruct(batch)


def train_batches(
    dataset: DatasetFolder, device: torch.device, binarize: bool, condition: Condition | None = None
) -> list[Batch]:
    """A fixed choice of train images, with their labels and contexts."""
    images, labels = dataset.images("train"), dataset.labels("train")
    count = min(len(images), BATCHES * BATCH_SIZE)
    rows = torch.randperm(len(images), generator=generator_for("batch-norm images"))[:count].sort().values.numpy()
    chosen = to_unit(torch.from_numpy(images[rows]))
    if binarize:
        chosen = binarized(chosen, generator_for("batch-norm images binarized"))
    context = None
    if condition is not None:
        stored = condition.stored(dataset, "train")
        known = None if stored is None else torch.from_numpy(np.asarray(stored)[rows])
        context = condition.of_images(chosen, known, generator_for("batch-norm contexts"))
    whole = Batch(chosen, None if labels is None else torch.from_numpy(np.asarray(labels)[rows]), context)
    rows_of_parts = [torch.arange(part, count, BATCHES) for part in range(min(BATCHES, count))]
    return [whole.map(partial(rows_to, rows=rows_of_part, device=device)) for rows_of_part in rows_of_parts]


def rows_to(values: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    return values[rows].to(device)
