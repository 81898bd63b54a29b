"""Architectures, a file or folder each: settings, and the generator, encoder and discriminator that they build."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice

if TYPE_CHECKING:
    from torch import nn

    from genlib.layers.base import Encoder, Given, ImageShape
    from genlib.layers.conditional import GeneratorConditioning
    from genlib.layers.discriminator import DiscriminatorConditioning


class Network(Choice):
    """An architecture, of a method's generator or decoder and of its discriminator or encoder."""

    folder: ClassVar[str] = "genlib.networks"
    kind: ClassVar[str] = "network"
    takes_points: ClassVar[bool] = False  # points in the plane, which have no pixels
    needs_condition_image: ClassVar[bool] = False  # it goes from an image that is the condition to another
    scores_patches: ClassVar[bool] = False  # its discriminator gives a score for each patch, not one for an image
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
    def mixes_images(self) -> bool:
        """Whether the discriminator's score of an image depends on the others of its batch, by batch norm."""
        return False

    def generator(
        self, latent_size: int, shape: ImageShape, given: Given, conditioning: GeneratorConditioning = "none"
    ) -> nn.Module:
        """(latents (B, latent_size), the condition) => raw numbers (B, *shape)."""
        from genlib.layers.build import build_generator

        return build_generator(self, latent_size, shape, given, conditioning)  # type: ignore[arg-type]

    def encoder(self, shape: ImageShape, outputs: int, given: Given) -> Encoder:
        """(images (B, *shape), the condition beside them) => (B, outputs)."""
        from genlib.layers.build import build_encoder

        return build_encoder(self, shape, outputs, given)  # type: ignore[arg-type]

    def discriminator(
        self,
        shape: ImageShape,
        given: Given,
        conditioning: DiscriminatorConditioning = "none",
        pack: int = 1,
        spectral_norm: bool = False,
    ) -> nn.Module:
        """(images (B, *shape), the condition) => scores (B / pack,), or of patches (B, P)."""
        from genlib.layers.build import build_discriminator

        return build_discriminator(self, shape, given, conditioning, pack, spectral_norm)  # type: ignore[arg-type]
