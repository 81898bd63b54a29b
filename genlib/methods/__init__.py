"""Families of generative models, a folder each: settings, and the method that they build."""

from __future__ import annotations

from typing import ClassVar

from genlib.choices.choice import Choice


class MethodConfig(Choice):
    """Settings of a family: the model and the losses that train it."""

    folder: ClassVar[str] = "genlib.methods"
    kind: ClassVar[str] = "method"
    has_encoder: ClassVar[bool] = False
    has_likelihood: ClassVar[bool] = False  # so that images have a bound on their log-likelihood
    is_adversarial: ClassVar[bool] = False
