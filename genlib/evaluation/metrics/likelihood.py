"""The likelihood of test images under a latent-variable model, and the use of its latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import IMPORTANCE_SAMPLES, PIXELS, Metric, with_a_likelihood
from genlib.evaluation.estimates import Findings, over_images

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.evaluation.scoring.held_out import HeldOutModel


def likelihoods(of: HeldOutModel) -> Findings:
    """Nothing for a model without a likelihood. The exact log-likelihood of points in the plane is known: the floor."""
    import torch

    from genlib.evaluation.statistics.likelihood import likelihood
    from genlib.evaluation.statistics.points import log_density, point_set_of
    from genlib.models.base import LatentVariableModel

    if not isinstance(of.model, LatentVariableModel):
        return Findings()
    asked = of.asked
    found = likelihood(of.model, of.images, of.importance_samples, asked.seed, of.processes, asked.batch_size)
    if not of.dataset.is_points:
        return found
    points = torch.cat([of.images.chunk(index) for index in range(of.images.chunks)])[: of.images.count]
    return found | Findings(floor={"log_likelihood": over_images(log_density(points, point_set_of(of.dataset)))})


def of_a_density_of_all_pixels(metric: Metric, run: RunConfig) -> str | None:
    """A density over the pixels of whole images."""
    if not run.method.has_pixel_density or run.data.is_points:
        return (
            f"registry.metric ({metric.name}) needs a density over pixels, which this method.likelihood is not; use "
            "log_likelihood."
        )
    if not run.condition.counts_all_pixels:
        return (
            f"registry.metric ({metric.name}) is over all pixels, and with condition {run.condition.name} the "
            "likelihood is over those that it leaves open; use log_likelihood."
        )
    return None


ELBO = Metric(
    "elbo",
    "higher",
    "lower bound on the log-likelihood, nats per image",
    over="test images",
    compute=likelihoods,
    needs=(with_a_likelihood,),
    during_training=True,
    depends_on=(PIXELS,),
    place=92,
)
LOG_LIKELIHOOD = Metric(
    "log_likelihood",
    "higher",
    "importance-weighted bound, nats per image",
    over="test images",
    compute=likelihoods,
    needs=(with_a_likelihood,),
    during_training=True,
    depends_on=(PIXELS, IMPORTANCE_SAMPLES),
    compared=True,
    place=93,
)
BITS_PER_DIM = Metric(
    "bits_per_dim",
    "lower",
    "bits per channel of a pixel",
    over="test images",
    compute=likelihoods,
    needs=(with_a_likelihood, of_a_density_of_all_pixels),
    during_training=True,
    depends_on=(PIXELS, IMPORTANCE_SAMPLES),
    place=94,
)
RECONSTRUCTION = Metric(
    "reconstruction",
    None,
    "expected negative log-likelihood of the pixels, nats per image",
    over="test images",
    compute=likelihoods,
    during_training=True,
    place=90,
)
KL = Metric(
    "kl",
    None,
    "from posterior to prior, nats per image",
    over="test images",
    compute=likelihoods,
    during_training=True,
    place=91,
)
ACTIVE_UNITS = Metric(
    "active_units",
    None,
    "latent dimensions in use",
    over="test images",
    compute=likelihoods,
    during_training=True,
    place=95,
)
