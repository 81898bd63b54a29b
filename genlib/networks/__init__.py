"""Architectures, a file or folder each: settings that build a generator, an encoder and a discriminator."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice
from genlib.layers.shapes import UNCONDITIONAL, ConditionSpec, ImageShape

if TYPE_CHECKING:
    from torch import nn

    from genlib.layers.base import Backbone, Encoder
    from genlib.layers.conditional import GeneratorConditioning
    from genlib.layers.discriminator import DiscriminatorConditioning


class Network(Choice):
    """An architecture of a method's generator or decoder, and of its discriminator or encoder.

    A network defines `backbone` and `generator_layers`, or `generator` and `discriminator` in place of the latter;
    torch is imported inside these methods, so that a configuration is read without it. The other methods are the same
    for all networks: an encoder is a backbone and a linear head, a discriminator too.
    """

    folder: ClassVar[str] = "genlib.networks"
    kind: ClassVar[str] = "network"
    takes_points: ClassVar[bool] = False  # its inputs are vectors: points in the plane, or flattened images
    needs_condition_image: ClassVar[bool] = False  # it goes from an image that is the condition to another
    scores_patches: ClassVar[bool] = False  # its discriminator gives a score for each patch, not one for an image
    spectral_norm_works: ClassVar[bool] = True  # no weight begins at 0

    @property
    def takes_condition_image(self) -> bool:
        """Whether the generator or decoder can take a condition that is an image."""
        return False

    @property
    def has_label_norms(self) -> bool:
        """Whether the generator or decoder has norms whose gain and bias can be a label's."""
        return False

    @property
    def mixes_images(self) -> bool:
        """Whether the discriminator's score of an image depends on the others of its batch, by batch norm."""
        return False

    @abstractmethod
    def backbone(self, shape: ImageShape, in_discriminator: bool = False) -> Backbone:
        """Layers from inputs (B, *shape) to features; `shape` includes the condition's channels, and a pack's."""

    def generator_layers(self, inputs: int, shape: ImageShape, classes: int = 0) -> nn.Module:
        """Layers from (B, inputs) to raw values (B, *shape).

        With `classes`, which only networks with `has_label_norms` get, their forward takes labels (B,) too.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither generator_layers nor generator")

    def initialize_head(self, head: nn.Linear) -> None:
        """Draw the weights of the layer behind a backbone; torch's own initialization unless a network has another."""

    def generator(
        self,
        latent_size: int,
        shape: ImageShape,
        condition: ConditionSpec = UNCONDITIONAL,
        conditioning: GeneratorConditioning = "none",
    ) -> nn.Module:
        """(latents (B, latent_size), the condition) => raw values (B, *shape).

        ValueError for batch_norm where there are no norms for labels, and where strides cannot make the shape.
        """
        from genlib.layers.conditional import Generator

        classes = condition.classes if conditioning == "batch_norm" else 0
        if classes and not self.has_label_norms:
            raise ValueError(f"batch_norm needs norms in the generator, and this {self.name} has none; use concat.")
        inputs = latent_size + (condition.values if conditioning == "concat" else 0)
        return Generator(self.generator_layers(inputs, shape, classes), condition, conditioning)

    def encoder(self, shape: ImageShape, outputs: int, condition: ConditionSpec = UNCONDITIONAL) -> Encoder:
        """(images (B, *shape), the condition beside them) => (B, outputs)."""
        from genlib.layers.base import Encoder

        backbone = self.backbone(self.input_shape(shape, condition))
        return Encoder(backbone, self.head(backbone, outputs), condition)

    def discriminator(
        self,
        shape: ImageShape,
        condition: ConditionSpec = UNCONDITIONAL,
        conditioning: DiscriminatorConditioning = "none",
        pack: int = 1,
        spectral_norm: bool = False,
    ) -> nn.Module:
        """(images (B, *shape), the condition) => scores (B / pack,), or of patches (B, P).

        ValueError for a projection of packs, and for the spectral norm of weights that begin at 0.
        """
        from genlib.layers.discriminator import Discriminator
        from genlib.layers.spectral_norm import apply_spectral_norm

        beside = condition if conditioning == "concat" else UNCONDITIONAL
        backbone = self.backbone(self.input_shape(shape, beside, pack), in_discriminator=True)
        discriminator = Discriminator(backbone, self.head(backbone, 1), condition, conditioning, pack)
        if spectral_norm:
            apply_spectral_norm(discriminator)
        return discriminator

    def head(self, backbone: Backbone, outputs: int) -> nn.Linear:
        """The linear layer behind a backbone."""
        from torch import nn

        head = nn.Linear(backbone.num_features, outputs)
        self.initialize_head(head)
        return head

    def input_shape(self, shape: ImageShape, condition: ConditionSpec, pack: int = 1) -> ImageShape:
        """Shape of a backbone's inputs: `pack` images, each with the condition beside it."""
        if self.takes_points:
            return (pack * (prod(shape) + condition.values),)
        return (pack * (shape[0] + condition.channels), *shape[1:])
