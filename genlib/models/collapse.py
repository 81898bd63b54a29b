"""Symptoms of collapse that methods log, and their limits."""

from __future__ import annotations

from torch import Tensor

from genlib.models.base import Symptom

SATURATED = 0.01  # share of the loss of a discriminator that cannot tell fakes from reals
ALIKE = 0.02  # share of the reals' standard deviation
UNCOVERED = 0.01  # share of the test images with a sample in their neighbourhood
UNUSED = 0.01  # nats; a dimension below carries nothing (Burda et al. 2015, section 5.2, take its variance)
ENOUGH = 64  # images, to estimate a standard deviation


def diversity(fakes: Tensor, reals: Tensor) -> Tensor:
    """Standard deviation of a batch's fakes as a share of its reals', (); near 0 where all fakes are the same."""
    spread = [images[:ENOUGH].detach().float().std(0, correction=0).mean() for images in (fakes, reals)]
    return spread[0] / spread[1]


def symptom_of_posterior(phase: str) -> Symptom:
    return Symptom(f"{phase}/largest_kl", UNUSED, "posterior collapse: no dimension of the latents carries anything")


def symptoms_of_players(loss: str, undecided: float) -> tuple[Symptom, ...]:
    """Symptoms of an adversarial game.

    `undecided` is the discriminator's loss where all scores are 0; 0 for a loss without a lower bound, which cannot
    saturate.
    """
    saturated = Symptom(loss, SATURATED * undecided, "the discriminator is saturated: the generator learns nothing")
    return (
        *((saturated,) if undecided > 0 else ()),
        Symptom(
            "discriminator/diversity", ALIKE, "the generator has collapsed: the samples of a batch are nearly equal"
        ),
        Symptom(
            "evaluation/coverage", UNCOVERED, "the generator has collapsed: its samples cover next to none of the data"
        ),
    )
