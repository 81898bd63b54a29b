"""Adversarial losses on scores, a file each."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice

if TYPE_CHECKING:
    from torch import Tensor


class AdversarialLoss(Choice):
    """The losses that discriminator and generator minimize, one value for each score.

    For the losses of Goodfellow et al. (2014) a score is the logit of D(x): D = sigmoid(score), and -log D =
    softplus(-score), never log(0). The caller averages.
    """

    folder: ClassVar[str] = "genlib.losses.adversarial"
    noun: ClassVar[str] = "adversarial loss"
    training_only: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    bare: ClassVar[bool] = True
    compares: ClassVar[bool] = False  # whether the generator's loss needs the scores of reals
    scores_have_a_sign: ClassVar[bool] = True  # positive for reals: not only differences of scores count
    needs_a_slope_limit: ClassVar[bool] = False  # for its discriminator's scores grow without bound

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss from the scores of reals and of fakes, (n,) and (n,) => (n,)."""

    @abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Loss from the scores of fakes, (n,) => (n,); `real`, (n,), is None unless the loss `compares`."""
