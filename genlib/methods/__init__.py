"""Families of generative models, a folder each: settings, and the method that they build."""

from __future__ import annotations

from typing import ClassVar

from genlib.choices.choice import Choice, choices_below
from genlib.networks import Network


class MethodConfig(Choice):
    """Settings of a family: the model and the losses that train it."""

    folder: ClassVar[str] = "genlib.methods"
    kind: ClassVar[str] = "method"
    has_encoder: ClassVar[bool] = False
    has_likelihood: ClassVar[bool] = False  # so that images have a bound on their log-likelihood
    is_adversarial: ClassVar[bool] = False

    @property
    def networks(self) -> dict[str, Network]:
        """The architectures by their dotted keys in this section."""
        return {key: choice for key, choice in choices_below(self) if isinstance(choice, Network)}

    @property
    def judging_network(self) -> Network | None:
        """The architecture of the discriminator."""
        return None
