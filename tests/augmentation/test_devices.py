"""Augmentations alter images and their gradients on a GPU as on a CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close

from genlib.augmentation.ada.module import AdaptiveAugment
from genlib.augmentation.diffaugment.module import DiffAugment
from genlib.layers.augment import Augment
from tests.conftest import DEVICES

AUGMENTATIONS: dict[str, Callable[[], Augment]] = {
    "ada": lambda: AdaptiveAugment(probability=0.7),
    "diffaugment": DiffAugment,
}


class DrawnOnCpu(TorchFunctionMode):
    """Inside, random numbers are drawn by the CPU's generator whatever device they are for."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.rand, torch.randn, torch.randint):
            self.drawn += 1
            device = kwargs.pop("device", None)
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


def augmented(name: str, device: str) -> tuple[Tensor, Tensor]:
    """Images after the augmentation, and the gradient of a weighted sum of them, both on the CPU."""
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(32, 3, 16, 16, generator=generator) * 2 - 1).to(device).requires_grad_()
    weights = torch.randn(32, 3, 16, 16, generator=generator).to(device)
    augment = AUGMENTATIONS[name]().to(device)
    torch.manual_seed(1)
    with DrawnOnCpu() as draws:
        result = augment(images)
    assert draws.drawn and result.device.type == device
    (result * weights).sum().backward()
    assert images.grad is not None
    return result.detach().cpu(), images.grad.cpu()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_draws_alter_images_alike_on_every_device(name: str, device: str) -> None:
    images, gradient = augmented(name, device)
    expected, expected_gradient = augmented(name, "cpu")
    assert (images - images.mean(0)).abs().mean() > 0.1
    # Rounding may move a sample of a kinked interpolation to the other side of a pixel's edge: few of them.
    assert_close(images, expected, rtol=0, atol=1e-3)
    assert ((gradient - expected_gradient).abs() > 1e-2).float().mean() < 0.01
