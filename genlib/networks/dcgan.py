"""The networks of DCGAN (Radford et al. 2015, section 3), for images of 8 to 128 pixels.

Strided convolutions in place of pooling, batch norm everywhere but at the generator's output and the discriminator's
input, ReLU in the generator, LeakyReLU in the discriminator, weights from N(0, 0.02). A base map of 4 to 7 pixels
doubles to the image size; the channels halve as it does.
"""

from __future__ import annotations

from torch import Tensor, nn

from genlib.networks.mlp import ImageShape
from genlib.sizes import doublings


def _stages(image_shape: ImageShape) -> tuple[int, int]:
    """(pixels of the base map, number of doublings)."""
    _, height, width = image_shape
    count = doublings(height)
    if count is None or height != width:
        raise ValueError(f"dcgan makes square images of 4 to 7 pixels doubled one or more times, not {height}x{width}.")
    return height // 2**count, count


def initialize(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions, N(1, 0.02) for batch norm's gain, 0 for biases."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d) and module.bias is not None:
        nn.init.zeros_(module.bias)


class DCGANGenerator(nn.Module):
    """(B, latent_size) => raw pixels (B, C, H, W); the caller applies tanh."""

    def __init__(self, latent_size: int, width: int, image_shape: ImageShape) -> None:
        super().__init__()
        base, count = _stages(image_shape)
        widths = [width * 2**stage for stage in reversed(range(count))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, widths[0], base, bias=False)]
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(width, image_shape[0], 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents[:, :, None, None])


class DCGANDiscriminator(nn.Module):
    """(B, C, H, W) => (B, outputs): scores for a GAN, posterior parameters for a VAE's encoder."""

    def __init__(self, image_shape: ImageShape, width: int, outputs: int) -> None:
        super().__init__()
        base, count = _stages(image_shape)
        layers: list[nn.Module] = [nn.Conv2d(image_shape[0], width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for stage in range(1, count):
            inputs, features = width * 2 ** (stage - 1), width * 2**stage
            layers += [nn.Conv2d(inputs, features, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(features), nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Conv2d(width * 2 ** (count - 1), outputs, base)]
        self.layers = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten(1)
