"""Bounds on the log-likelihood from importance weights."""

from __future__ import annotations

import math

from torch import Tensor


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log of the mean weight of k samples (Burda et al. 2015, eq. 8); (k, B) => (B,)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))
