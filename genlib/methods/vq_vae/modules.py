"""The convolutional networks of the vector-quantized autoencoder (van den Oord et al. 2017, section 4.1)."""

from __future__ import annotations

from torch import Tensor, nn

from genlib.layers.shapes import ImageShape


class ResidualBlock(nn.Module):
    """ReLU, 3x3 convolution (or another odd `kernel`), ReLU, 1x1 convolution, added to the input."""

    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, kernel, padding=kernel // 2), nn.ReLU(), nn.Conv2d(width, width, 1)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.layers(inputs)


def check_size(shape: ImageShape, downsamplings: int) -> None:
    """ValueError unless the image can be halved so often."""
    factor = 2**downsamplings
    if shape[1] % factor or shape[2] % factor:
        raise ValueError(
            f"{shape[1]}x{shape[2]} pixels cannot be halved {downsamplings} times; use a multiple of {factor}."
        )


class VQEncoder(nn.Module):
    """(B, C, H, W) => (B, code_size, H / 2^downsamplings, W / 2^downsamplings).

    With `patches` each place is computed from its own square of 2^downsamplings pixels alone, with kernels of 2 pixels
    in the place of 4, and of 1 in the place of 3.
    """

    def __init__(
        self,
        shape: ImageShape,
        width: int,
        residual_blocks: int,
        downsamplings: int,
        code_size: int,
        patches: bool = False,
    ) -> None:
        super().__init__()
        check_size(shape, downsamplings)
        around = 0 if patches else 1  # pixels seen beyond a place's own
        kernel = 1 + 2 * around
        layers: list[nn.Module] = []
        for stage in range(downsamplings):
            layers += [nn.ReLU()] if stage else []
            layers += [nn.Conv2d(width if stage else shape[0], width, 2 + 2 * around, stride=2, padding=around)]
        layers += [nn.ReLU(), nn.Conv2d(width, width, kernel, padding=around)]
        layers += [ResidualBlock(width, kernel) for _ in range(residual_blocks)]
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(width, code_size, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class VQDecoder(nn.Module):
    """(B, code_size, h, w) => raw pixels (B, C, h * 2^downsamplings, w * 2^downsamplings): the encoder mirrored."""

    def __init__(self, shape: ImageShape, width: int, residual_blocks: int, downsamplings: int, code_size: int) -> None:
        super().__init__()
        check_size(shape, downsamplings)
        layers: list[nn.Module] = [nn.Conv2d(code_size, width, 3, padding=1)]
        layers += [ResidualBlock(width) for _ in range(residual_blocks)]
        for stage in range(downsamplings):
            outputs = shape[0] if stage == downsamplings - 1 else width
            layers += [nn.ReLU(), nn.ConvTranspose2d(width, outputs, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, quantized: Tensor) -> Tensor:
        return self.layers(quantized)
