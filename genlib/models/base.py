"""The interfaces that training, export and evaluation know: batches, phases, models and methods."""

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
    since: float = 0.0  # share of the training's steps, before which it rests
    until: float = 1.0  # share of them, after which it rests
    own_images: bool = False  # whether its turns take other images than those of the other phases


def draws_of(phases: tuple[Phase, ...]) -> dict[str, range]:
    """The indices of the batches that each phase takes among those that a step draws, one for each repeat.

    Phases share the first ones, except for those with images of their own.
    """
    shared = max((phase.repeats for phase in phases if not phase.own_images), default=0)
    draws, last = {}, shared
    for phase in phases:
        first = last if phase.own_images else 0
        draws[phase.name] = range(first, first + phase.repeats)
        last = max(last, draws[phase.name].stop)
    return draws


class Symptom(NamedTuple):
    """A logged value that shows a collapse while it stays below a limit."""

    value: str  # <phase>/<part>, or evaluation/<metric>
    below: float
    meaning: str


class GenerativeModel(nn.Module):
    """The part of a method that EMA averages and that is kept after training."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.sampler = sampler


class EncoderModel(GenerativeModel, ABC):
    """A model that encodes images to latents and decodes these."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """Latents of images, drawn where they are random, (B, d)."""

    @abstractmethod
    def reconstruct(self, batch: Batch) -> Tensor:
        """Images decoded from the mode of their latents, in [-1, 1], (B, C, H, W)."""


class Weights(NamedTuple):
    """Terms of the importance weight of one draw of each image's latents."""

    log_likelihood: Tensor  # log p(x | z) in nats, (B,)
    log_ratio: Tensor  # log p(z) - log q(z | x), (B,)
    latents: Tensor  # next to the image, (B, d)


class LatentVariableModel(EncoderModel, ABC):
    """A model with p(x | z), a prior p(z) and an approximate posterior, so that log p(x) can be estimated."""

    pixels: Literal["density", "probability", "cross-entropy"]  # the kind of p(x | z); a density is over [-1, 1]
    noise_size: int  # standard normal values that one draw of all latents takes
    has_standard_prior: bool  # whether p(z) = N(0, I), so that the KL is known in closed form

    @abstractmethod
    def posterior(self, batch: Batch) -> Posterior:
        """q(z | x) of the latents next to the image."""

    @abstractmethod
    def weigh(self, batch: Batch, posterior: Posterior, noise: Tensor) -> Weights:
        """The importance weights of the latents that `noise` ~ N(0, I), (B, noise_size), draws from the posterior."""


class Method(nn.Module, ABC):
    """A generative model together with the losses that train it."""

    model: GenerativeModel
    phases: tuple[Phase, ...]
    symptoms: tuple[Symptom, ...] = ()
    variant: Hashable = None  # set by begin_step; steps of equal variant run the same kernels, so a graph can replay

    @abstractmethod
    def loss(self, phase: str, batch: Batch) -> Losses:
        """{"total": the loss that this phase minimizes, (), and parts to log, () each}.

        All draws come from the global generator. A tensor with one more dimension, (n, ...), is a statistic of this
        micro-batch for after_update.
        """

    def begin_step(self, step: int) -> None:
        """Set scheduled values before step `step`, which counts from 0; the same on every process."""

    def after_update(self, phase: str, statistics: Losses) -> None:
        """Change buffers and weights by other means than gradients, after each update of a phase's parameters.

        `statistics` are those of all micro-batches of all processes, concatenated in the order of the micro-batches:
        the same on every process.
        """
