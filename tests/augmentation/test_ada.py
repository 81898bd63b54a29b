"""Adaptive augmentation: its matrices and rates, and how the probability follows the discriminator."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from genlib.augmentation.ada.module import (
    AdaptiveAugment,
    chosen,
    hue_rotation,
    moved,
    recoloured,
    rotation,
    scaling,
    translation,
)

DEVIATIONS = (0.2, 0.2, 0.125, 0.2, 0.5, 1.0)  # of scale, uneven scale, fine shift, brightness, contrast, saturation


def images_of(count: int, channels: int = 3, size: int = 8) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def applied(back: Tensor, images: Tensor) -> Tensor:
    where = F.affine_grid(back[:, :2], list(images.shape), align_corners=False)
    return F.grid_sample(images, where, "bilinear", "reflection", align_corners=False)


@pytest.mark.parametrize("channels", [1, 3])
def test_at_probability_0_images_are_what_they_were(channels: int) -> None:
    images = images_of(4, channels)
    assert_close(AdaptiveAugment()(images), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_their_shape_and_pass_gradients_on(channels: int) -> None:
    torch.manual_seed(0)
    images = images_of(8, channels).requires_grad_()
    augment = AdaptiveAugment(probability=1.0)
    result = augment(images)
    assert result.shape == images.shape and (result - images).abs().mean() > 0.1
    (result * torch.randn_like(result)).sum().backward()
    assert images.grad is not None and all((gradient != 0).any() for gradient in images.grad)


def test_reals_and_fakes_and_every_image_have_draws_of_their_own() -> None:
    images = images_of(1).repeat(8, 1, 1, 1)
    augment = AdaptiveAugment(probability=1.0)
    torch.manual_seed(0)
    first, second = augment(images), augment(images)
    assert len(first.flatten(1).unique(dim=0)) == 8 and not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(augment(images), first)


def test_autocast_leaves_the_augmentation_exact() -> None:
    augment, images = AdaptiveAugment(probability=0.7), images_of(4)
    torch.manual_seed(0)
    expected = augment(images)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(images), expected)


def test_what_comes_in_bfloat16_is_augmented_in_float32() -> None:
    images = images_of(4)
    augment = AdaptiveAugment(probability=0.7)
    torch.manual_seed(0)
    expected = augment(images.bfloat16().float())
    torch.manual_seed(0)
    assert torch.equal(augment(images.bfloat16()), expected)


def test_the_matrices_flip_turn_and_shift_pixels_as_they_say() -> None:
    images, one, zero = images_of(1), torch.ones(1), torch.zeros(1)
    assert_close(applied(scaling(-one, one), images), images.flip(3), atol=1e-5, rtol=0)
    assert_close(applied(rotation(one * math.pi / 2), images), images.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    assert_close(applied(rotation(one * math.pi), images), images.flip(2, 3), atol=1e-5, rtol=0)
    shifted = applied(translation(one * 2 / 8, zero), images)  # a pixel of 8, of an image 2 wide
    assert_close(shifted[..., :-1], images[..., 1:], atol=1e-5, rtol=0)
    assert_close(shifted[..., -1], images[..., -1], atol=1e-5, rtol=0)  # reflected at the border
    # The map leads from the result back to the image: a half shows the middle at twice the size.
    enlarged = applied(scaling(one / 2, one / 2), images)
    assert_close(enlarged, F.interpolate(images, scale_factor=2, mode="bilinear")[..., 4:12, 4:12], atol=1e-5, rtol=0)


def test_values_are_chosen_for_the_given_share_of_images_all_of_an_image_together() -> None:
    torch.manual_seed(0)
    result = chosen(torch.ones(2, 10_000), torch.tensor(0.3))
    assert torch.equal(result[0], result[1])
    assert set(result.unique().tolist()) == {0.0, 1.0}
    assert abs(result[0].mean() - 0.3) < 4 * (0.3 * 0.7 / 10_000) ** 0.5


def only(monkeypatch: pytest.MonkeyPatch, index: int) -> None:
    """Let the choices happen with their probability at one place of the code, in order, and nowhere else."""
    calls = [0]

    def choose(values: Tensor, probability: Tensor) -> Tensor:
        calls[0] += 1
        return chosen(values, probability if calls[0] == index else torch.zeros(()))

    monkeypatch.setattr("genlib.augmentation.ada.module.chosen", choose)


def shares(results: Tensor, candidates: list[Tensor]) -> list[float]:
    """How often the results are each candidate."""
    return [(results - image).abs().amax((1, 2, 3)).lt(1e-4).float().mean().item() for image in candidates]


def test_flips_happen_to_half_and_quarter_turns_to_three_quarters_of_the_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count, p = 4000, torch.tensor(0.6)
    image = images_of(1)
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        only(patch, 1)
        flips = moved(image.expand(count, -1, -1, -1), p)
    assert shares(flips, [image, image.flip(3)]) == pytest.approx([0.7, 0.3], abs=0.03)
    with monkeypatch.context() as patch:
        only(patch, 2)
        turns = moved(image.expand(count, -1, -1, -1), p)
    expected = [0.4 + 0.15, 0.15, 0.15, 0.15]
    assert shares(turns, [image.rot90(k, (2, 3)) for k in range(4)]) == pytest.approx(expected, abs=0.03)


def test_shifts_are_by_whole_pixels_in_both_directions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, 3)
    image = images_of(1, size=32)
    torch.manual_seed(0)
    results = moved(image.expand(300, -1, -1, -1), torch.tensor(1.0))
    inner = slice(8, 24)
    candidates = {
        (down, right): image[..., 8 - down : 24 - down, 8 - right : 24 - right]
        for down in range(-4, 5)
        for right in range(-4, 5)
    }
    share = shares(results[..., inner, inner], list(candidates.values()))
    assert sum(share) == pytest.approx(1)
    straight = sum(value for (down, right), value in zip(candidates, share, strict=True) if down == 0 or right == 0)
    assert straight == pytest.approx(1 - (7 / 8) ** 2, abs=0.1)  # each direction stays within half a pixel of 4 in 1/8


def scripted(monkeypatch: pytest.MonkeyPatch, values: dict[int, Tensor]) -> None:
    """Choose these values at these places of the code, counted from 1, and nothing elsewhere."""
    calls = iter(range(1, 10))
    monkeypatch.setattr(
        "genlib.augmentation.ada.module.chosen",
        lambda drawn, probability: values.get(next(calls), torch.zeros_like(drawn)),
    )


def test_images_are_turned_before_they_are_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of(1)
    scripted(monkeypatch, {2: torch.tensor([1]), 3: torch.tensor([[2 / 8], [0.0]])})
    turned = images.rot90(1, (2, 3))
    assert_close(moved(images, torch.ones(()))[..., :-2], turned[..., 2:], atol=1e-5, rtol=0)


def test_a_fine_shift_is_a_share_of_the_size_and_reflects_what_it_leaves_open(monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of(1)
    scripted(monkeypatch, {8: torch.tensor([[0.0], [2 / 8]])})
    result = moved(images, torch.ones(()))
    assert_close(result, torch.cat([images[:, :, 2:], images[:, :, -2:].flip(2)], 2), atol=1e-5, rtol=0)


def test_an_uneven_scaling_stretches_one_direction_by_what_it_shrinks_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = images_of(1)
    scripted(monkeypatch, {7: torch.ones(1)})
    high = F.interpolate(images, scale_factor=(2, 1), mode="bilinear")[:, :, 4:12]
    result = moved(images, torch.ones(()))
    assert_close(result[..., 2:6], F.avg_pool2d(high, (1, 2)), atol=1e-5, rtol=0)


def test_scales_and_rotations_take_effect_in_the_papers_order(monkeypatch: pytest.MonkeyPatch) -> None:
    images, all_of_them = images_of(1), torch.ones(())
    quarter, double = torch.full((1,), math.pi / 2), torch.ones(1)

    def result(values: dict[int, Tensor], of: Tensor = images) -> Tensor:
        scripted(monkeypatch, values)
        return moved(of, all_of_them)

    assert_close(result({4: double})[..., 2:6, 2:6], F.avg_pool2d(images, 2), atol=1e-5, rtol=0)
    turned_first = result({7: double}, images.rot90(1, (2, 3)))
    turned_last = result({7: double}).rot90(1, (2, 3))
    assert_close(result({5: quarter, 7: double}), turned_first, atol=1e-5, rtol=0)
    assert_close(result({6: quarter, 7: double}), turned_last, atol=1e-5, rtol=0)


def test_draws_have_the_papers_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []

    def choose(values: Tensor, probability: Tensor) -> Tensor:
        drawn.append(values.flatten().float())
        return chosen(values, probability)

    monkeypatch.setattr("genlib.augmentation.ada.module.chosen", choose)
    torch.manual_seed(0)
    images = images_of(1, 3, 2).expand(10_000, -1, -1, -1)
    moved(images, torch.zeros(()))
    recoloured(images, torch.zeros(()))
    flip, quarters, shift, scale, before, after, uneven, fine, brightness, contrast, luma, hue, saturation = drawn
    for values, deviation in zip((scale, uneven, fine, brightness, contrast, saturation), DEVIATIONS, strict=True):
        assert values.mean().item() == pytest.approx(0, abs=0.04 * deviation)
        assert values.std().item() == pytest.approx(deviation, rel=0.03)
    for values, most in ((shift, 0.125), (before, math.pi), (after, math.pi), (hue, math.pi)):
        assert values.abs().max().item() == pytest.approx(most, rel=0.01)
        assert values.mean().item() == pytest.approx(0, abs=0.03 * most)
        assert values.std().item() == pytest.approx(most / 3**0.5, rel=0.03)
    for values, kinds in ((flip, 2), (luma, 2), (quarters, 4)):
        assert values.unique().tolist() == list(range(kinds))
        assert values.mean().item() == pytest.approx((kinds - 1) / 2, rel=0.04)


def test_one_of_two_rotations_happens_with_the_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[Tensor] = []

    def choose(values: Tensor, probability: Tensor) -> Tensor:
        result = chosen(values, probability)
        happened.append(result != 0)
        return result

    monkeypatch.setattr("genlib.augmentation.ada.module.chosen", choose)
    torch.manual_seed(0)
    moved(images_of(1, 1, 4).expand(20_000, -1, -1, -1), torch.tensor(0.6))
    scale, before, after, uneven = happened[3:7]
    for rate in (scale, before | after, uneven):
        assert rate.float().mean().item() == pytest.approx(0.6, abs=0.015)


def test_grey_images_become_lighter_steeper_and_inverted_and_nothing_else() -> None:
    images = images_of(2000, 1, 4)
    torch.manual_seed(0)
    results = recoloured(images, torch.tensor(1.0))
    centred, before = (values.flatten(1) - values.flatten(1).mean(1, keepdim=True) for values in (results, images))
    slope = (centred * before).sum(1) / before.square().sum(1)
    assert_close(centred, slope[:, None] * before, atol=1e-4, rtol=1e-4)
    brightness = results.flatten(1).mean(1) / slope - images.flatten(1).mean(1)
    # Four standard errors of a mean or a standard deviation of 2,000 draws are about a tenth of the deviation.
    assert slope.lt(0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert slope.abs().log2().std().item() == pytest.approx(0.5, abs=0.04)
    assert brightness.std().item() == pytest.approx(0.2, abs=0.02)
    assert brightness.mean().item() == pytest.approx(0, abs=0.02)


def test_colours_turn_and_saturate_about_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of(2000, 3, 2)
    grey, colour = images.mean(1, keepdim=True), images - images.mean(1, keepdim=True)
    for place, deviation in ((4, 0.0), (5, 1.0)):  # hue, saturation
        with monkeypatch.context() as patch:
            only(patch, place)
            torch.manual_seed(0)
            results = recoloured(images, torch.tensor(1.0))
        assert_close(results.mean(1, keepdim=True), grey, atol=1e-5, rtol=0)
        factor = (results - grey).flatten(1).norm(dim=1) / colour.flatten(1).norm(dim=1)
        assert factor.log2().std().item() == pytest.approx(deviation, abs=0.08)
        parallel = (results - grey - factor.view(-1, 1, 1, 1) * colour).flatten(1).norm(dim=1) < 1e-4
        assert parallel.float().mean() == (1.0 if place == 5 else pytest.approx(0, abs=0.01))


def test_a_luma_flip_exchanges_light_and_dark_and_keeps_the_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, 3)
    images = images_of(1)
    torch.manual_seed(0)
    results = recoloured(images.expand(400, -1, -1, -1), torch.tensor(1.0))
    flipped = images - 2 * images.mean(1, keepdim=True)
    assert shares(results, [images, flipped]) == pytest.approx([0.5, 0.5], abs=0.1)


def test_a_third_of_a_turn_of_hue_exchanges_the_channels_in_a_circle() -> None:
    turned = hue_rotation(torch.tensor([2 * math.pi / 3])) @ torch.tensor([1.0, 2.0, 3.0])
    assert_close(turned, torch.tensor([[3.0, 1.0, 2.0]]))


def test_the_probability_rises_with_surer_signs_falls_with_others_and_stays_between_0_and_1() -> None:
    augment = AdaptiveAugment(target=0.6, speed_images=1000)
    sure, unsure = torch.ones(10), torch.tensor([1.0, -1.0])
    augment.update(unsure, 100)
    assert augment.probability == 0
    augment.update(sure, 100)
    augment.update(sure, 50)
    assert_close(augment.probability, torch.tensor(0.15))
    augment.update(unsure, 50)
    assert_close(augment.probability, torch.tensor(0.1))
    augment.update(sure, 5000)
    assert augment.probability == 1


def test_the_probability_is_a_buffer_that_a_checkpoint_restores() -> None:
    augment = AdaptiveAugment(probability=0.25)
    assert augment.probability.shape == () and augment.probability.dtype == torch.float32
    restored = AdaptiveAugment()
    restored.load_state_dict(augment.state_dict())
    assert restored.probability == 0.25
    assert not list(augment.parameters())


def test_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not \(5, 2\)"):
        AdaptiveAugment()(torch.zeros(5, 2))
