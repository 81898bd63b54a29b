"""TF-Inception: names, shapes and sizes of the published network, TensorFlow 1's resize, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlib.errors import UserError
from genlib.evaluation.extractors.inception.network import (
    Inception,
    average_pool,
    inception_extractor,
    max_pool,
    resize,
)


@pytest.fixture(scope="module")
def network() -> Inception:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Inception().eval()


def test_the_network_has_as_many_parameters_as_the_published_one(network: Inception) -> None:
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    head = sum(size for name, size in sizes.items() if name.startswith("fc."))
    assert sum(sizes.values()) - head == 21_785_568  # Inception v3 without auxiliary and final classifier
    assert head == 2048 * 1008 + 1008


def test_the_networks_names_and_shapes_are_those_of_the_published_file(network: Inception) -> None:
    state = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    convolutions = {name.removesuffix(".conv.weight") for name in state if name.endswith(".conv.weight")}
    assert len(convolutions) == 94
    rest = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked")
    expected = {f"{name}.{part}" for name in convolutions for part in ("conv.weight", *rest)}
    assert set(state) == expected | {"fc.weight", "fc.bias"}
    published = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6e.branch7x7dbl_2.conv.weight": (192, 192, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch1x1.conv.weight": (320, 2048, 1, 1),
        "fc.weight": (1008, 2048),
    }
    assert {name: state[name] for name in published} == published


def test_maps_have_the_papers_sizes_and_pooling_its_published_quirks(network: Inception) -> None:
    """Szegedy et al. 2015, table 1; 17 x 17 and 8 x 8 halve without padding."""
    shapes = {}

    def note(module: nn.Module, _: object, output: Tensor) -> None:
        shapes[next(name for name, child in network.named_children() if child is module)] = tuple(output.shape[1:])

    hooks = [block.register_forward_hook(note) for block in network.children()]
    with torch.no_grad():
        features = network(torch.randint(0, 256, (1, 3, 20, 20), dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    assert features.shape == (1, 2048)
    assert shapes["Conv2d_1a_3x3"] == (32, 149, 149)
    assert shapes["Conv2d_2a_3x3"] == (32, 147, 147)
    assert shapes["Conv2d_4a_3x3"] == (192, 71, 71)
    assert shapes["Mixed_5b"] == (256, 35, 35)
    assert shapes["Mixed_5d"] == (288, 35, 35)
    assert shapes["Mixed_6e"] == (768, 17, 17)
    assert shapes["Mixed_7a"] == (1280, 8, 8)
    assert shapes["Mixed_7c"] == (2048, 8, 8)
    assert network.Mixed_7b.pool is average_pool and network.Mixed_7c.pool is max_pool
    torch.testing.assert_close(average_pool(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))  # no padding counted


def test_a_block_joins_its_branches_in_the_published_order(network: Inception) -> None:
    block = network.Mixed_7c
    maps = torch.rand(1, 2048, 8, 8, generator=torch.Generator().manual_seed(0))
    b, c = block.branch3x3_1(maps), block.branch3x3dbl_2(block.branch3x3dbl_1(maps))
    parts = [
        block.branch1x1(maps),
        block.branch3x3_2a(b),
        block.branch3x3_2b(b),
        block.branch3x3dbl_3a(c),
        block.branch3x3dbl_3b(c),
        block.branch_pool(F.max_pool2d(maps, 3, 1, 1)),
    ]
    torch.testing.assert_close(block(maps), torch.cat(parts, 1))


def tensorflow_1_resize(image: np.ndarray, size: int) -> np.ndarray:
    """(H, W) => (size, size), output pixel by output pixel."""
    height, width = image.shape
    out = np.empty((size, size))
    for row in range(size):
        y = row * height / size
        top, bottom = int(y), min(int(y) + 1, height - 1)
        for column in range(size):
            x = column * width / size
            left, right = int(x), min(int(x) + 1, width - 1)
            upper = image[top, left] + (image[top, right] - image[top, left]) * (x - left)
            lower = image[bottom, left] + (image[bottom, right] - image[bottom, left]) * (x - left)
            out[row, column] = upper + (lower - upper) * (y - top)
    return out


@pytest.mark.parametrize("shape", [(8, 8), (28, 20), (45, 64)])
def test_the_resize_is_tensorflow_1s(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.float64)
    ours = resize(torch.from_numpy(image).float()[None, None], size=37)[0, 0].numpy()
    np.testing.assert_allclose(ours, tensorflow_1_resize(image, 37), atol=1e-3)


def test_grey_images_are_taken_as_three_equal_channels(network: Inception) -> None:
    grey = torch.randint(0, 256, (1, 1, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(grey), network(grey.expand(-1, 3, -1, -1)))


def test_the_weights_file_is_read_and_named_by_its_hash(network: Inception, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    published = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(published, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    extractor = inception_extractor(file, sha256)
    assert (extractor.name, extractor.hash, extractor.num_features) == ("inception", sha256, 2048)
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    torch.testing.assert_close(extractor.network.state_dict()["fc.bias"], network.fc.bias.detach())


def test_an_absent_weights_file_is_refused_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file; get pt_inception-2015-12-05-6726825d.pth .* mseitzer/pytorch-fid"):
        inception_extractor(tmp_path / "absent.pth", "0" * 64)


def test_a_weights_file_of_another_hash_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"something else")
    with pytest.raises(UserError, match="has the SHA-256 [0-9a-f]{64}, but evaluation.inception_sha256 is 0{64}; get"):
        inception_extractor(file, "0" * 64)


@pytest.mark.parametrize("content", [b"no tensors at all", None])
def test_a_file_that_holds_something_else_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    if content is None:
        torch.save({"Conv2d_1a_3x3.bn.bias": torch.zeros(32), "other": torch.zeros(1)}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(UserError, match="TF-Inception weights"):
        inception_extractor(file, hashlib.sha256(file.read_bytes()).hexdigest())
