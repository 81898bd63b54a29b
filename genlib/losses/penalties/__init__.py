"""Penalties of a discriminator's slope, a file each."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genlib.choices.choice import Choice, rule
from genlib.choices.section import LARGEST_WEIGHT, MOST_STEPS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from genlib.config.run import RunConfig
    from genlib.losses.gradients import Critic


class Penalty(Choice):
    """A limit to a discriminator's slope: a term of its loss, or a change to its weights after each update."""

    folder: ClassVar[str] = "genlib.losses.penalties"
    noun: ClassVar[str] = "penalty"
    training_only: ClassVar[tuple[str, ...]] = ("of", "after_update")
    limits_slope: ClassVar[bool] = True
    bounds_weights: ClassVar[bool] = False  # whether it holds single weights within limits

    @property
    def strength(self) -> float:
        """Weight in the loss of a step in which it is due."""
        return 0.0

    def is_due(self, step: int) -> bool:
        """Whether the loss of step `step`, from 0, has a term of it."""
        return False

    def of(self, critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
        """The term for each score, (n,); the caller weighs and averages.

        Args:
            critic: (n, ...) => scores (n,); where it augments what it scores, the slope is that at the images before
                the augmentation (Karras et al. 2020, "Training generative adversarial networks with limited data").
            reals: Images (n, ...), or packs of images (n, pack, ...) that get one score each.
            fakes: The same.
        """
        raise NotImplementedError(f"{self.name} is never due, and has no term in the loss")

    def after_update(self, discriminator: nn.Module) -> None:
        """Change the weights, in place, after each update of the discriminator."""


class GradientPenalty(Penalty):
    """A penalty of gradients at every so many steps, as strong as if it were at each (Karras et al. 2020, "Analyzing
    and improving the image quality of StyleGAN", appendix B).
    """

    weight: float = Field(10.0, gt=0, le=LARGEST_WEIGHT, description="Weight of the penalty in the loss")
    every: int = Field(
        1, ge=1, le=MOST_STEPS, description="Steps from one to the next; the weight is that of a penalty each step"
    )

    @property
    def strength(self) -> float:
        return self.weight * self.every

    def is_due(self, step: int) -> bool:
        return step % self.every == 0

    @abstractmethod
    def of(self, critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor: ...

    @rule
    def gradient_norms_are_per_image(self, run: RunConfig, key: str) -> str | None:
        """Gradient penalties need a score that depends on its own image alone: no batch norm in the discriminator."""
        network = run.method.judging_network
        if network is None or not network.mixes_images:
            return None
        where = next(where for where, found in reversed(run.method.networks.items()) if found is network)
        return (
            f"{key} ({self.name}) is of each image's gradient, and batch norm mixes the images of a batch (Gulrajani "
            f"et al. 2017, section 4); use method.{where}.discriminator_norm=none."
        )
