"""What every generative model offers to the training loop, the sampler's export and the evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor, nn

from genlib.models.optimizer import OptimizerConfig
from genlib.models.posterior import Posterior
from genlib.models.sampler import Sampler

Losses = dict[str, Tensor]


class Batch(NamedTuple):
    """Training data on the device."""

    images: Tensor  # float in [-1, 1], (B, C, H, W); points in the plane are (B, 2)
    labels: Tensor | None  # int64 (B,)
    context: Tensor | None = None  # of each image, as networks take it: (B, K, h, w) in [-1, 1], or words (B, LENGTH)

    @property
    def given(self) -> Tensor | None:
        """The condition that networks take: the context where there is one, else the labels."""
        return self.labels if self.context is None else self.context

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The function's value for all that is there."""
        return Batch(*[None if part is None else function(part) for part in self])  # type: ignore[arg-type]


@dataclass(frozen=True)
class Phase:
    """One optimizer's turn in a training step."""

    name: str
    trains: nn.Module
    optimizer: OptimizerConfig
    repeats: int = 1  # Algorithm 1's k for a discriminator; each repeat takes fresh images
    until: float = 1.0  # share of the training's steps, after which it rests
    own_images: bool = False  # whether its turns take other images than those of the other phases


def draws_of(phases: tuple[Phase, ...]) -> dict[str, range]:
    """Which of the batches that a step draws a phase takes, one for each repeat: phases share the first ones, but for
    those with images of their own.
    """
    shared = max((phase.repeats for phase in phases if not phase.own_images), default=0)
    draws, last = {}, shared
    for phase in phases:
        first = last if phase.own_images else 0
        draws[phase.name] = range(first, first + phase.repeats)
        last = max(last, draws[phase.name].stop)
    return draws


class Symptom(NamedTuple):
    """A logged value that means a collapse where it stays below a limit."""

    value: str  # <phase>/<part>, or evaluation/<metric>
    below: float
    meaning: str


class GenerativeModel(nn.Module):
    """What is kept after training, and what EMA averages."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.sampler = sampler


class EncoderModel(GenerativeModel, ABC):
    """A model that finds latents of an image, and brings the image back from them."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """Latents of images, drawn where they are random, (B, d)."""

    @abstractmethod
    def reconstruct(self, batch: Batch) -> Tensor:
        """Images in [-1, 1] by way of their likeliest latents, (B, C, H, W)."""


class Weights(NamedTuple):
    """Of one draw of the latents of each image."""

    log_likelihood: Tensor  # log p(x | z) in nats, (B,)
    log_ratio: Tensor  # log p(z) - log q(z | x), (B,)
    latents: Tensor  # next to the image, (B, d)


class LatentVariableModel(EncoderModel, ABC):
    """A model with p(x | z), a prior p(z) and an approximate posterior: what a likelihood needs."""

    pixels: Literal["density", "probability", "cross-entropy"]  # what p(x | z) is; a density is over [-1, 1]
    noise_size: int  # standard normal numbers that one draw of all latents takes
    has_standard_prior: bool  # whether p(z) = N(0, I), so that the KL is known in closed form

    @abstractmethod
    def posterior(self, batch: Batch) -> Posterior:
        """q(z | x) of the latents next to the image."""

    @abstractmethod
    def weigh(self, batch: Batch, posterior: Posterior, noise: Tensor) -> Weights:
        """The draw that `noise`, N(0, I) and (B, noise_size), makes from the posterior."""


class Method(nn.Module, ABC):
    """A generative model together with the losses that train it."""

    model: GenerativeModel
    phases: tuple[Phase, ...]
    symptoms: tuple[Symptom, ...] = ()
    variant: Hashable = None  # what else than numbers in tensors a step's computation depends on, after begin_step

    @abstractmethod
    def loss(self, phase: str, batch: Batch) -> Losses:
        """{"total": (), to minimize in this phase, and the parts to log, () each}. All draws come from the global
        generator.

        A tensor with a dimension more is a statistic (n, ...) of this micro-batch, for after_update.
        """

    def begin_step(self, step: int) -> None:
        """What a schedule changes, before step `step` (from 0). The same on every process."""

    def after_update(self, phase: str, statistics: Losses) -> None:
        """What changes by other means than gradients, after each update of a phase's parameters.

        `statistics` are those of all micro-batches of all processes, joined along their first dimension in the order of
        the micro-batches: the same on every process, so that all change alike.
        """
