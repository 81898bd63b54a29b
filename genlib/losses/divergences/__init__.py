"""Divergences between posteriors and prior, a folder each."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice, rule

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.divergence import Divergence


class DivergenceConfig(Choice):
    """A divergence between the posteriors of images and the prior."""

    folder: ClassVar[str] = "genlib.losses.divergences"
    noun: ClassVar[str] = "divergence"
    training_only: ClassVar[tuple[str, ...]] = ("build",)
    is_per_image: ClassVar[bool] = True  # it does not compare an image's posterior with those of others

    @property
    def bounds_each_posterior(self) -> bool:
        """Whether it draws every image's posterior to the prior, and not only their mixture."""
        return True

    @abstractmethod
    def build(self, rows: int) -> Divergence:
        """The divergence as a module; `rows` is the size of the train split."""

    @rule
    def decompositions_need_company(self, run: RunConfig, key: str) -> str | None:
        """beta_tc and mmd compare an image with the others of its micro-batch."""
        part = run.training.batch_size // run.training.parts
        if self.is_per_image or part >= 2:
            return None
        return (
            f"{key} ({self.name}) compares the images of a micro-batch, which has {part}; use a larger "
            "training.batch_size."
        )
