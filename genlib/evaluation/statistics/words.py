"""Words of captions: perplexities, and the pairs of adjacent words that captions share."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from genlib.evaluation.estimates import Estimate, over_images
from genlib.models.codes import CodeNetwork, real_words
from genlib.sampling.draw import CHUNK

UNSEEN = 0.1  # added to the counts of the bigram baseline


@torch.no_grad()
def perplexity(codes: CodeNetwork, captions: Tensor) -> Estimate:
    """exp of the mean nats of a word, the end counting as one, and its error to first order."""
    device = next(codes.parameters()).device
    nats = torch.cat([codes.nats_of_texts(part.to(device)).sum(1).double().cpu() for part in captions.split(CHUNK)])
    words = real_words(captions).sum(1).double()
    mean = (nats.sum() / words.sum()).item()
    error = over_images((nats - mean * words) / words.mean()).standard_error
    assert error is not None
    return Estimate(math.exp(mean), len(captions), math.exp(mean) * error)


def bigram_perplexity(train: Tensor, test: Tensor) -> float:
    """Perplexity of p(word | word before it), counted on train captions with UNSEEN more of each pair."""
    size = int(max(train.max(), test.max())) + 1
    counts = np.full((size + 1, size), UNSEEN)  # the last row is the start's

    def pairs(captions: Tensor) -> tuple[np.ndarray, np.ndarray]:
        before = torch.cat([torch.full((len(captions), 1), size), captions[:, :-1]], dim=1)
        real = real_words(captions)
        return before[real].numpy(), captions[real].numpy()

    np.add.at(counts, pairs(train), 1)
    shares = counts / counts.sum(1, keepdims=True)
    return float(np.exp(-np.log(shares[pairs(test)]).mean()))


def pairs_of_words(captions: Tensor, size: int) -> Tensor:
    """Pairs of adjacent words of each, as a vector of length 1, float (N, size * size)."""
    pairs = captions[:, :-1] * size + captions[:, 1:]
    found = torch.zeros(len(captions), size * size).scatter_(1, pairs, 1.0)
    found[:, 0] = 0  # two ends
    return found / found.norm(dim=1, keepdim=True).clamp_min(1)
