"""EfficientNet-Lite0 up to the maps whose means are compared (Tan & Le 2019; the lite variants are TensorFlow's).

The lite variants leave out squeeze and excitation, and have ReLU6 in the place of swish.

Stage 5 at 64 pixels is a compromise. With 2,000 test images of CIFAR-10 against 4,000 of the train split it puts half
of the classes at 2.4 times the floor and noise of 0.05 at 37 times; earlier stages are taken up with noise (stage 4:
2.4 and 73 times, stage 3: 4.3 and 214), and later ones have more features than so few images can measure (half of the
classes by 192, 320 and 1,280 features: 2.0, 1.6 and 1.2 times). 96 pixels give 2.7 times for twice the time.
"""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlib.evaluation.extractors.imagenet.config import SHA256, checked_weights
from genlib.evaluation.features import Extractor

INPUT_SIZE = 64
IMAGES_AT_ONCE = 64  # their maps stay in a CPU's cache: twice as fast as 256
STEM = 32  # channels
# Tan & Le 2019, table 1: expansion, kernel, stride, channels and number of blocks of the stages that are used.
STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3))
NUM_FEATURES = STAGES[-1][3]


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution and its batch norm. Padding is TensorFlow's SAME for sizes that the stride divides."""
    missing = kernel - stride
    before, after = missing // 2, missing - missing // 2
    padded = [] if before == after else [nn.ZeroPad2d((before, after, before, after))]
    padding = before if before == after else 0
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return [*padded, layer, nn.BatchNorm2d(outputs, eps=1e-3)]


class Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): (N, inputs, H, W) => (N, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = inputs * expansion
        expanded = [*convolution(inputs, width, 1), nn.ReLU6()] if expansion > 1 else []
        depthwise = [*convolution(width, width, kernel, stride, groups=width), nn.ReLU6()]
        self.layers = nn.Sequential(*expanded, *depthwise, *convolution(width, outputs, 1))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps) if self.is_residual else self.layers(maps)


class EfficientNetLite0(nn.Module):
    """uint8 (N, 1 or 3, H, W) => float32 (N, 112), the means of the last stage's maps; grey is repeated."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = [*convolution(3, STEM, 3, stride=2), nn.ReLU6()], STEM
        for expansion, kernel, stride, outputs, blocks in STAGES:
            for number in range(blocks):
                layers.append(Block(channels, outputs, expansion, kernel, 1 if number else stride))
                channels = outputs
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.layers(preprocess(part)).mean((2, 3)) for part in images.split(IMAGES_AT_ONCE)])


def preprocess(images: Tensor) -> Tensor:
    """uint8 (N, 1 or 3, H, W) => float32 (N, 3, 64, 64), from -1 to 1 as the weights were trained with."""
    size = (INPUT_SIZE, INPUT_SIZE)
    resized = F.interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
    scaled = (resized - 127) / 128
    return scaled.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def imagenet_extractor() -> Extractor:
    """The extractor by the installed weights; UserError if they are absent, or not the published ones."""
    published = torch.load(checked_weights(), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # no random weights are drawn
        network = EfficientNetLite0().eval()
    names = list(network.state_dict())
    # The file has its tensors in the network's order; those of the stages that are not used come last.
    first = dict(zip(names, islice(published.values(), len(names)), strict=True))
    network.load_state_dict(first, assign=True)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
    facts = {
        "network": "EfficientNet-Lite0",
        "layer": f"means of the {NUM_FEATURES} maps of stage {len(STAGES)}",
        "resize": f"bilinear to {INPUT_SIZE}, antialiased, in float32",
    }
    return Extractor("imagenet", network, NUM_FEATURES, SHA256, facts)
