"""Adversarial losses on scores, (n,) => (n,): a file each, known by its name.

For the losses of Goodfellow et al. a score is the logit of D(x): D = sigmoid(score), and -log D = softplus(-score),
never log(0).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from torch import Tensor


class AdversarialLoss(NamedTuple):
    """What either player minimizes, given the scores of reals and of fakes."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (real, fake)
    generator: Callable[[Tensor, Tensor | None], Tensor]  # (fake, real); real is None unless it is compared with
    compares: bool = False  # whether the generator's loss needs the scores of reals


def load_loss(name: str) -> AdversarialLoss:
    """The `LOSS` of the file with this name; ValueError if there is none."""
    known = sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))
    if name not in known:
        raise ValueError(f"'{name}' is no adversarial loss; known: {', '.join(known)}.")
    loss: AdversarialLoss = import_module(f"{__name__}.{name}").LOSS
    return loss
