"""The sampler: noise to images. It is what EMA averages, export stores and MLflow serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from genlib.contexts.base import Condition
from genlib.layers.outputs import OUTPUTS, Output
from genlib.models.codes import CodeNetwork

if TYPE_CHECKING:
    from genlib.models.latents import FittedLatents


class Sampler(nn.Module):
    """From noise ~ N(0, I) to images.

    Noise is mapped to latents (the identity unless latents were fitted), latents to the network's raw numbers, and
    these to images, which agree with the condition where that fixes a part of them. `classes` is the number of labels
    that a conditional network takes, else 0; `condition` describes the contexts that it takes.
    """

    def __init__(
        self,
        network: nn.Module,
        latent_size: int,
        output: Output = "tanh",
        classes: int = 0,
        latents: FittedLatents | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.condition = condition
        self.latents = latents
        self.latent_size = latents.noise_size if latents else latent_size  # of the noise
        self.output: Output = output
        self.classes = classes

    def forward(self, noise: Tensor, given: Tensor | None = None) -> Tensor:
        """float (B, latent_size) and, for conditional networks, labels int64 (B,) or contexts (B, *condition.shape) =>
        float (B, C, H, W) in [-1, 1], or (B, 2).
        """
        return self.decode(self.latents(noise) if self.latents else noise, given)

    def decode(self, latents: Tensor, given: Tensor | None = None) -> Tensor:
        """The images of latents, (B, d) => (B, ...)."""
        images = self.to_images(self.network(latents, given))
        if self.condition is None:
            return images
        assert given is not None
        return self.condition.keep(images, given)

    @property
    def codes(self) -> CodeNetwork | None:
        """The network, if it draws codes."""
        return self.network if isinstance(self.network, CodeNetwork) else None

    def to_images(self, raw: Tensor) -> Tensor:
        """The network's raw numbers as pixels in [-1, 1], or as points, of the same shape: in float32 under autocast
        too, where data are, for in bfloat16 the slope of a bright pixel's tanh is rounded away.
        """
        return OUTPUTS[self.output](raw.float())
