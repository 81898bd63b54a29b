"""Architectures, a file or folder each: settings that build a generator, an encoder and a discriminator."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice, rule
from genlib.choices.discovery import names_where
from genlib.layers.shapes import UNCONDITIONAL, ConditionSpec, ImageShape
from genlib.pixels.sizes import BASE, doublings, nearest_sizes

if TYPE_CHECKING:
    from torch import nn

    from genlib.config.run import RunConfig
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
    noun: ClassVar[str] = "network"
    training_only: ClassVar[tuple[str, ...]] = ("discriminator", "unnormalized_discriminator")
    takes_points: ClassVar[bool] = False  # its inputs are vectors: points in the plane, or flattened images
    is_strided: ClassVar[bool] = False  # its maps double to the image's size
    needs_condition_image: ClassVar[bool] = False  # it goes from an image that is the condition to another
    spectral_norm_works: ClassVar[bool] = True  # no weight begins at 0
    label_norm_key: ClassVar[str] = ""  # the setting, key=value, by which it has label norms where it has none

    @property
    def takes_condition_image(self) -> bool:
        """Whether the generator or decoder can take a condition that is an image."""
        return False

    @property
    def has_label_norms(self) -> bool:
        """Whether the generator or decoder has norms whose gain and bias can be a label's."""
        return False

    @property
    def smallest_map(self) -> int:
        """Pixels of the map that a strided network doubles to the image's size: from this to one less than twice it."""
        return BASE

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
        from genlib.layers.spectral_norm import apply_spectral_norm

        discriminator = self.unnormalized_discriminator(shape, condition, conditioning, pack)
        if spectral_norm:
            apply_spectral_norm(discriminator)
        return discriminator

    def unnormalized_discriminator(
        self, shape: ImageShape, condition: ConditionSpec, conditioning: DiscriminatorConditioning, pack: int
    ) -> nn.Module:
        """The discriminator before its weights are normalized."""
        from genlib.layers.discriminator import Discriminator

        beside = condition if conditioning == "concat" else UNCONDITIONAL
        backbone = self.backbone(self.input_shape(shape, beside, pack), in_discriminator=True)
        return Discriminator(backbone, self.head(backbone, 1), condition, conditioning, pack)

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

    @rule
    def strides_reach_the_image_size(self, run: RunConfig, key: str) -> str | None:
        """dcgan, resnet, r3gan and unet double a map of a few pixels (4 to 7 unless dcgan has another base) to the
        image's size.
        """
        size, base = run.data.image_size, self.smallest_map
        if not self.is_strided or run.data.is_points or doublings(size, base) is not None:
            return None
        return (
            f"data.image_size ({size}) cannot be made by {self.name}'s strides, which double {base} to {2 * base - 1} "
            f"pixels; use {' or '.join(map(str, nearest_sizes(size, base)))}."
        )

    @rule
    def points_are_vectors(self, run: RunConfig, key: str) -> str | None:
        """Points in the plane have no pixels: only networks of vectors take them, such as mlp."""
        if not run.data.is_points or self.takes_points:
            return None
        return (
            f"data.source {run.data.source} is points in the plane, and {self.name} needs images; use {key} with the "
            f"name {names_where(Network, 'takes_points')}."
        )

    @rule
    def condition_images_are_there(self, run: RunConfig, key: str) -> str | None:
        """unet needs a condition that is an image: low_resolution, masked or greyscale."""
        if not self.needs_condition_image or run.condition.is_image:
            return None
        return (
            f"{key} is {self.name}, which goes from an image that is the condition to another, and there is none; set "
            "condition, or use dcgan."
        )

    @rule
    def condition_images_are_taken(self, run: RunConfig, key: str) -> str | None:
        """low_resolution, masked and greyscale go with unet, or with mlp without batch norm."""
        if not run.condition.is_image or self.takes_condition_image or self.only_discriminates(run):
            return None
        return (
            f"condition is {run.condition.name}, and this {self.name} takes no condition that is an image; use "
            f"{key}={{name: unet}}, or an mlp without batch norm."
        )

    def only_discriminates(self, run: RunConfig) -> bool:
        """Whether a run has this network as its discriminator and another one as its generator."""
        generator, *_ = run.method.networks.values()
        return self is run.method.judging_network and self is not generator
