"""The Bernoulli likelihood."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from genlib.layers.likelihood import Likelihood, summed


def bernoulli_negative_log_likelihood(images: Tensor, logits: Tensor, counted: Tensor | None = None) -> Tensor:
    """-log Bernoulli(x; sigmoid(logits)) for pixels in [0, 1], summed over an image; (B, ...) => (B,).

    For pixels strictly between 0 and 1 it is a cross-entropy, without the normalizer of a likelihood
    (Loaiza-Ganem & Cunningham 2019).
    """
    return summed(F.binary_cross_entropy_with_logits(logits, images, reduction="none"), counted)


class Bernoulli(Likelihood):
    """Pixels are 0 or 1; of grey ones it is a cross-entropy."""

    pixels = "cross-entropy"

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -bernoulli_negative_log_likelihood((images + 1) / 2, raw, counted)
