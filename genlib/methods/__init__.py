"""Generative models, one file a family, and the step from their configuration to a Method."""

from __future__ import annotations

from genlib.methods.base import (
    Batch,
    EncoderModel,
    GenerativeModel,
    LatentVariableModel,
    Losses,
    Method,
    Phase,
    Posterior,
    Sampler,
    draws_of,
)
from genlib.methods.build import build_method

__all__ = [
    "Batch",
    "EncoderModel",
    "GenerativeModel",
    "LatentVariableModel",
    "Losses",
    "Method",
    "Phase",
    "Posterior",
    "Sampler",
    "build_method",
    "draws_of",
]
