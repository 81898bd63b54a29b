"""Differentiable augmentation against what each image's own numbers say was done to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from genlib.augmentation.diffaugment.module import DiffAugment

SIZE = 16


def images_of(count: int, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", [("color",), ("translation",), ("cutout",), ("color", "translation", "cutout")])
def test_images_keep_their_shape_and_pass_gradients_on(policy: tuple[str, ...], channels: int) -> None:
    images = images_of(4, channels).requires_grad_()
    result = DiffAugment(policy)(images)
    assert result.shape == images.shape
    result.sum().backward()
    assert images.grad is not None and all((gradient != 0).any() for gradient in images.grad)


def test_nothing_asked_for_is_nothing_done() -> None:
    images = images_of(2)
    assert torch.equal(DiffAugment(())(images), images)


def test_every_image_has_draws_of_its_own_and_the_seed_repeats_them() -> None:
    images = images_of(1).repeat(8, 1, 1, 1)
    for policy in ("color", "translation", "cutout"):
        torch.manual_seed(0)
        first, second = DiffAugment((policy,))(images), DiffAugment((policy,))(images)
        assert len(first.flatten(1).unique(dim=0)) > 4
        assert not torch.equal(first, second)
        torch.manual_seed(0)
        assert torch.equal(DiffAugment((policy,))(images), first)


def test_what_comes_in_bfloat16_is_augmented_in_float32() -> None:
    images = images_of(4)
    torch.manual_seed(0)
    expected = DiffAugment()(images.bfloat16().float())
    torch.manual_seed(0)
    assert torch.equal(DiffAugment()(images.bfloat16()), expected)


def test_colour_moves_the_mean_and_scales_grey_and_colour_apart_by_uniform_factors() -> None:
    count = 3000
    images = images_of(1).repeat(count, 1, 1, 1)
    torch.manual_seed(0)
    result = DiffAugment(("color",))(images)
    shift = (result - images).mean((1, 2, 3))
    grey, grey_before = result.mean(1), images.mean(1)
    contrast = grey.std((1, 2)) / grey_before.std((1, 2))
    colour = (result - grey[:, None]).std((1, 2, 3)) / (images - grey_before[:, None]).std((1, 2, 3)) / contrast
    for values, least, most in ((shift, -0.5, 0.5), (contrast, 0.5, 1.5), (colour, 0, 2)):
        width = most - least
        assert least - 1e-4 <= values.min() < least + 0.02 * width
        assert most - 0.02 * width < values.max() <= most + 1e-4
        assert abs(values.mean() - (least + most) / 2) < 4 * width / (12 * count) ** 0.5


def test_saturation_is_the_identity_on_grey_images() -> None:
    grey = images_of(4, 1)
    torch.manual_seed(0)
    coloured = DiffAugment(("color",))(grey.repeat(1, 3, 1, 1))
    torch.manual_seed(0)
    assert_close(coloured, DiffAugment(("color",))(grey).repeat(1, 3, 1, 1))


def test_translation_is_by_whole_pixels_up_to_an_eighth_and_grey_moves_in() -> None:
    images = images_of(400, 1)
    torch.manual_seed(0)
    result = DiffAugment(("translation",))(images)
    reach = range(-3, 4)
    framed = torch.nn.functional.pad(images, (3, 3, 3, 3))
    counts = {}
    for down, right in [(down, right) for down in reach for right in reach]:
        candidate = framed[..., 3 - down : 3 - down + SIZE, 3 - right : 3 - right + SIZE]
        counts[down, right] = int((candidate == result).all(3).all(2).all(1).sum())
    assert sum(counts.values()) == 400
    assert {shift for shift, count in counts.items() if count} == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_cutout_hides_one_square_of_half_the_size_and_nothing_else() -> None:
    images = torch.ones(400, 3, SIZE, SIZE)
    torch.manual_seed(0)
    result = DiffAugment(("cutout",))(images)
    assert result.unique().tolist() == [0, 1]
    seen = set()
    for image in result:
        hidden = image[0] == 0
        assert torch.equal(image[0], image[1]) and torch.equal(image[0], image[2])
        rows, columns = hidden.any(1).nonzero().flatten(), hidden.any(0).nonzero().flatten()
        for lines in (rows, columns):
            assert len(lines) == lines[-1] - lines[0] + 1
            seen.add((int(lines[0]), int(lines[-1])))
        assert hidden.sum() == len(rows) * len(columns)
    # The centre is any line between two pixels, the image's edges among them.
    assert seen == {(max(0, centre - 4), min(SIZE - 1, centre + 3)) for centre in range(SIZE + 1)}


def test_points_and_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not \(5, 2\)"):
        DiffAugment()(torch.zeros(5, 2))
    with pytest.raises(ValueError, match="'colour' is no augmentation; use color, translation, cutout"):
        DiffAugment(("colour",))
