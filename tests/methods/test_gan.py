import math

import torch
from torch.testing import assert_close

from genlib.config import DCGANConfig, GANConfig, MLPConfig
from genlib.losses.adversarial import LOSSES
from genlib.methods import Batch, build_method


def tiny_gan(**options):
    torch.manual_seed(0)
    return build_method(GANConfig(network=DCGANConfig(width=2), latent_size=4, **options), (1, 8, 8))


def images(count=6):
    return Batch(torch.rand(count, 1, 8, 8) * 2 - 1, None)


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
        torch.nn.init.zeros_(gan.discriminator.layers[-1].weight)
        assert_close(gan.loss("discriminator", images())["total"], torch.tensor(math.log(4)))
        assert_close(gan.loss("generator", images())["total"], torch.tensor(expected))


def test_every_loss_gives_gradients_to_its_own_player_alone():
    for loss in LOSSES:
        gan = tiny_gan(loss=loss)
        gan.discriminator.requires_grad_(False)
        gan.loss("generator", images())["total"].backward()
        assert all(parameter.grad is not None for parameter in gan.model.parameters()), loss
        assert all(parameter.grad is None for parameter in gan.discriminator.parameters()), loss
        gan.zero_grad()
        gan.discriminator.requires_grad_(True)
        gan.loss("discriminator", images())["total"].backward()
        assert all(parameter.grad is None for parameter in gan.model.parameters()), loss
        assert all(parameter.grad is not None for parameter in gan.discriminator.parameters()), loss


def test_algorithm_1_takes_k_turns_of_the_discriminator():
    discriminator, generator = tiny_gan(discriminator_steps=5).phases
    assert (discriminator.name, discriminator.repeats) == ("discriminator", 5)
    assert (generator.name, generator.repeats) == ("generator", 1)


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


def test_an_mlp_gan_takes_the_same_losses():
    gan = build_method(GANConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=4), (1, 8, 8))
    assert gan.loss("generator", images())["total"].isfinite()
