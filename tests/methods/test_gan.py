import math

import pytest
import torch
from torch.testing import assert_close

from genlib.augmentation.ada.config import ADAConfig
from genlib.augmentation.diffaugment.config import DiffAugmentConfig
from genlib.choices.discovery import choices_of_kind
from genlib.layers.augment import Augment
from genlib.layers.base import DataSpec
from genlib.losses.adversarial import AdversarialLoss
from genlib.losses.penalties.gradient_penalty import WGANGP
from genlib.losses.penalties.r1 import R1
from genlib.losses.penalties.weight_clipping import WeightClipping
from genlib.methods.gan.config import GANConfig
from genlib.models.base import Batch, draws_of
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.mlp.config import MLPConfig

LOSSES = list(choices_of_kind(AdversarialLoss))
DIGITS = DataSpec((1, 8, 8), classes=3)


def tiny_gan(**options):
    torch.manual_seed(0)
    network = options.pop("network", DCGANConfig(width=2))
    return GANConfig(network=network, latent_size=4, **options).build(DIGITS)


def images(count=6):
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.rand(count, 1, 8, 8, generator=generator) * 2 - 1, torch.arange(count) % 3)


def test_the_discriminators_phase_moves_no_generator_and_the_other_way_round():
    gan = tiny_gan()
    gan.loss("discriminator", images())["total"].backward()
    assert all(parameter.grad is None for parameter in gan.model.parameters())
    assert all(parameter.grad is not None for parameter in gan.discriminator.parameters())
    gan.zero_grad()
    gan.discriminator.requires_grad_(False)
    gan.loss("generator", images())["total"].backward()
    assert all(parameter.grad is not None for parameter in gan.model.parameters())
    assert all(parameter.grad is None for parameter in gan.discriminator.parameters())


def test_an_undecided_discriminator_loses_log_four_and_each_generator_its_papers_value():
    for loss, expected in (("minimax", -math.log(2)), ("non_saturating", math.log(2))):
        gan = tiny_gan(loss=loss)
        torch.nn.init.zeros_(gan.discriminator.head.weight)
        assert_close(gan.loss("discriminator", images())["total"], torch.tensor(math.log(4)))
        assert_close(gan.loss("generator", images())["total"], torch.tensor(expected))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_gives_gradients_to_its_own_player_alone(loss):
    gan = tiny_gan(loss=loss)
    gan.discriminator.requires_grad_(False)
    gan.loss("generator", images())["total"].backward()
    assert all(parameter.grad is not None for parameter in gan.model.parameters())
    assert all(parameter.grad is None for parameter in gan.discriminator.parameters())
    gan.zero_grad()
    gan.discriminator.requires_grad_(True)
    gan.loss("discriminator", images())["total"].backward()
    assert all(parameter.grad is None for parameter in gan.model.parameters())
    assert all(parameter.grad is not None for parameter in gan.discriminator.parameters())


def test_algorithm_1_takes_k_turns_of_the_discriminator():
    discriminator, generator = tiny_gan(discriminator_steps=5).phases
    assert (discriminator.name, discriminator.repeats) == ("discriminator", 5)
    assert (generator.name, generator.repeats) == ("generator", 1)


def test_the_generator_has_reals_of_its_own_exactly_where_its_loss_compares_with_them():
    assert draws_of(tiny_gan(discriminator_steps=3).phases) == {"discriminator": range(3), "generator": range(1)}
    comparing = tiny_gan(loss="relativistic", discriminator_steps=3)
    assert draws_of(comparing.phases) == {"discriminator": range(3), "generator": range(3, 4)}


def test_a_discriminator_step_separates_real_from_fake():
    gan = tiny_gan()
    optimizer = torch.optim.Adam(gan.discriminator.parameters(), 0.01)
    for _ in range(50):
        optimizer.zero_grad()
        losses = gan.loss("discriminator", Batch(torch.ones(16, 1, 8, 8), None))
        losses["total"].backward()
        optimizer.step()
    assert losses["real_score"] > losses["fake_score"] + 1
    assert losses["total"] < 1


def penalized(gan, step: int, batch: Batch):
    gan.begin_step(step)
    torch.manual_seed(7)
    return gan.loss("discriminator", batch)


def test_a_penalty_is_added_with_its_weight():
    options = {"network": MLPConfig(hidden_sizes=[8])}
    plain, with_penalty = tiny_gan(**options), tiny_gan(penalty=R1(weight=3.0), **options)
    batch = images()
    found = penalized(with_penalty, 0, batch)
    inputs = batch.images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(plain.scores(inputs, None).sum(), inputs)
    assert_close(found["penalty"], 0.5 * slope.flatten(1).square().sum(1).mean())
    assert_close(found["total"], penalized(plain, 0, batch)["total"] + 3 * found["penalty"])


class Darkened(Augment):
    """An augmentation with a known slope: mirrored, three times as strong, the upper half black."""

    def forward(self, images):
        halves = torch.tensor([0.0] * 4 + [3.0] * 4)[:, None]
        return images.flip(3) * halves


def test_a_penalty_is_on_the_slope_at_the_images_before_their_augmentation():
    """As in StyleGAN2-ADA: half |J' grad D|^2 for an augmentation with the Jacobian J."""
    gan = tiny_gan(penalty=R1(weight=3.0), network=MLPConfig(hidden_sizes=[8]))
    gan.augmentation = Darkened()
    batch = images()
    seen = gan.augmentation(batch.images).requires_grad_()
    (slope,) = torch.autograd.grad(gan.scores(seen, None).sum(), seen)
    expected = 0.5 * 9 * slope[:, :, 4:].flatten(1).square().sum(1).mean()
    assert_close(penalized(gan, 0, batch)["penalty"], expected)


@pytest.mark.parametrize("augmentation", [DiffAugmentConfig(), ADAConfig()])
def test_a_penalty_through_an_augmentation_has_the_gradient_of_finite_differences(augmentation):
    gan = tiny_gan(penalty=R1(weight=3.0), augmentation=augmentation, network=MLPConfig(hidden_sizes=[8]))
    if isinstance(augmentation, ADAConfig):
        gan.augmentation.probability.fill_(1.0)
    batch = images()
    gan.discriminator.backbone.layers[1] = torch.nn.Tanh()  # smooth, as finite differences need
    weight = gan.discriminator.backbone.layers[0].weight

    def penalty():
        return penalized(gan, 0, batch)["penalty"]

    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction = torch.nn.functional.normalize(gradient.flatten(), dim=0).view_as(weight)
    with torch.no_grad():
        weight.add_(direction, alpha=1e-2)
        above = penalty()
        weight.sub_(direction, alpha=2e-2)
        below = penalty()
    assert_close((above - below) / 2e-2, (gradient * direction).sum(), rtol=1e-2, atol=1e-5)


def test_a_pack_of_reals_is_mixed_with_a_pack_of_fakes_by_one_number():
    gan = tiny_gan(penalty=WGANGP(), pack=3, network=MLPConfig(hidden_sizes=[8]))
    torch.nn.init.zeros_(gan.model.sampler.network.layers[-2].weight)
    torch.nn.init.constant_(gan.model.sampler.network.layers[-2].bias, 100.0)  # fakes are white
    seen = []
    gan.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    penalized(gan, 0, Batch(-torch.ones(6, 1, 8, 8), None))
    shares = torch.stack([part.clone() for part in seen[-1].unflatten(0, (2, 3)).flatten(1)])
    assert_close(shares, shares[:, :1].expand_as(shares))
    assert (shares[0, 0] - shares[1, 0]).abs() > 1e-3


@pytest.mark.parametrize("augmentation", [DiffAugmentConfig(), ADAConfig()])
def test_reals_and_fakes_are_augmented_in_float32_under_autocast_too(augmentation):
    gan = tiny_gan(augmentation=augmentation)
    passed = []
    gan.augmentation.register_forward_hook(lambda module, inputs, output: passed.append((inputs[0], output)))
    with torch.autocast("cpu", torch.bfloat16):
        gan.loss("discriminator", images())
        gan.loss("generator", images())
        raw = gan.model.sampler.network(torch.randn(2, 4))
    assert raw.dtype == torch.bfloat16  # so there was something to mend
    assert len(passed) == 3
    assert {part.dtype for pair in passed for part in pair} == {torch.float32}


def test_a_lazy_penalty_is_as_strong_over_its_interval_as_one_at_every_step():
    options = {"network": MLPConfig(hidden_sizes=[8])}
    every, lazy = (tiny_gan(penalty=WGANGP(weight=2.0, every=interval), **options) for interval in (1, 4))
    batch, plain = images(), tiny_gan(**options)
    without = penalized(plain, 0, batch)["total"]
    steady = sum(penalized(every, step, batch)["total"] - without for step in range(8))
    rare = [penalized(lazy, step, batch)["total"] - without for step in range(8)]
    assert_close(sum(rare), steady)
    assert [step for step, extra in enumerate(rare) if extra.abs() > 1e-6] == [0, 4]


def test_weights_are_clipped_after_the_discriminators_update_alone():
    gan = tiny_gan(loss="wasserstein", penalty=WeightClipping(limit=0.01), network=MLPConfig(hidden_sizes=[8]))
    before = [parameter.clone() for parameter in gan.discriminator.parameters()]
    gan.after_update("generator", {})
    assert all(map(torch.equal, gan.discriminator.parameters(), before))
    gan.after_update("discriminator", {})
    assert max(parameter.abs().max() for parameter in gan.discriminator.parameters()) <= 0.01
    assert any(parameter.abs().max() > 0.01 for parameter in gan.model.parameters())


def test_spectral_norms_follow_the_discriminators_updates():
    gan = tiny_gan(spectral_norm=True, network=MLPConfig(hidden_sizes=[16]))
    layer = gan.discriminator.head
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.randn(1, 16) * 5)
    for _ in range(5):
        gan.after_update("discriminator", {})
    assert_close(torch.linalg.svdvals(layer.weight)[0], torch.tensor(1.0), atol=1e-3, rtol=0)


def test_packs_are_judged_together():
    gan = tiny_gan(pack=2)
    batch = images(6)
    assert gan.scores(batch.images, None).shape == (3,)
    with pytest.raises(ValueError, match="no whole packs of 2"):
        gan.scores(batch.images[:5], None)


def test_reals_and_fakes_are_augmented_for_both_players():
    gan = tiny_gan(augmentation=DiffAugmentConfig(policy=["translation"]))
    seen = []
    gan.augmentation.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    batch = images()
    gan.loss("discriminator", batch)
    assert any(torch.equal(inputs, batch.images) for inputs in seen) and len(seen) == 2
    gan.loss("generator", batch)["total"].backward()
    assert len(seen) == 3
    assert all(parameter.grad is not None for parameter in gan.model.parameters())


def test_the_augmentations_probability_follows_the_scores_of_reals_and_is_in_the_state():
    gan = tiny_gan(augmentation=ADAConfig(target=0.6, speed_images=60))
    losses = gan.loss("discriminator", images())
    assert losses["signs"].shape == (6,) and set(losses["signs"].tolist()) <= {-1.0, 0.0, 1.0}
    gan.after_update("discriminator", {"signs": torch.ones(6)})
    assert_close(gan.state_dict()["augmentation.probability"], torch.tensor(0.1))
    gan.after_update("discriminator", {"signs": torch.tensor([1.0, -1.0])})
    assert_close(gan.augmentation.probability, torch.tensor(0.1 - 2 / 60))


def test_fakes_have_the_labels_of_the_reals_beside_them():
    gan = tiny_gan(conditioning="concat")
    seen = []
    gan.model.sampler.network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    gan.discriminator.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    batch = images()
    gan.loss("discriminator", batch)
    assert len(seen) == 3 and all(torch.equal(labels, batch.labels) for labels in seen)


def test_a_conditional_gan_needs_labels_in_the_data():
    with pytest.raises(ValueError, match="set it to none"):
        GANConfig(conditioning="concat").build(DataSpec((1, 8, 8)))


def test_points_are_made_without_bounds():
    config = GANConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=2)
    gan = config.build(DataSpec((2,)))
    with torch.no_grad():
        assert gan.model.sampler(torch.randn(500, 2) * 100).abs().max() > 1
    assert gan.scores(torch.randn(4, 2), None).shape == (4,)
