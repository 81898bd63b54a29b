import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from genlib.layers.shapes import ConditionSpec
from genlib.networks.r3gan.config import R3GANConfig
from genlib.networks.r3gan.modules import Basis, R3GANGenerator, Resample, ResidualBlock, r3gan_backbone

SHAPE = (3, 32, 32)
ALLOWED = (nn.Conv2d, nn.Linear, nn.Identity)


def blocks(module):
    return [layer for layer in module.modules() if isinstance(layer, ResidualBlock)]


def test_a_block_starts_as_the_identity():
    images = torch.randn(2, 8, 4, 4)
    assert torch.equal(ResidualBlock(8, expansion=2, group_size=4, blocks=6)(images), images)


def test_a_block_is_1x1_grouped_3x3_and_1x1_convolutions_beside_its_input():
    """Huang et al. 2024, section 4, each group convolved for itself."""
    block, images = ResidualBlock(4, expansion=2, group_size=2, blocks=6), torch.randn(2, 4, 5, 5)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    hidden = torch.einsum("oi,bihw->bohw", block.expand.weight[:, :, 0, 0], images) + block.expand.bias[:, None, None]
    hidden = torch.maximum(hidden, 0.2 * hidden)
    parts = zip(hidden.split(2, dim=1), block.mix.weight.split(2), block.mix.bias.split(2), strict=True)
    hidden = torch.cat([F.conv2d(part, weight, bias, padding=1) for part, weight, bias in parts], dim=1)
    hidden = torch.maximum(hidden, 0.2 * hidden)
    assert_close(block(images), images + torch.einsum("oi,bihw->bohw", block.reduce.weight[:, :, 0, 0], hidden))


def test_weights_keep_the_variance_and_shrink_with_the_number_of_blocks():
    """Zhang et al. 2019, section 3: blocks^(-1 / (2m - 2)) for m = 3 layers in a branch."""
    torch.manual_seed(0)
    block = ResidualBlock(64, expansion=2, group_size=16, blocks=16)
    gain = (2 / (1 + 0.2**2)) ** 0.5 * 16 ** (-1 / 4)
    assert block.expand.weight.std().item() == pytest.approx(gain / 64**0.5, rel=0.02)
    assert block.mix.weight.std().item() == pytest.approx(gain / (16 * 9) ** 0.5, rel=0.02)
    assert not block.reduce.weight.any() and not block.expand.bias.any() and not block.mix.bias.any()


def test_a_networks_blocks_are_counted_over_all_its_resolutions():
    torch.manual_seed(0)
    generator = R3GANGenerator(4, SHAPE, width=32, blocks=4, group_size=16, expansion=2)
    assert len(blocks(generator)) == 4 * 4
    gain = (2 / (1 + 0.2**2)) ** 0.5 * 16 ** (-1 / 4)
    assert blocks(generator)[0].expand.weight.std().item() == pytest.approx(gain / 256**0.5, rel=0.02)


def test_doubling_is_bilinear_inside_and_takes_zeros_beyond_the_border():
    images = torch.randn(2, 3, 5, 5)
    bilinear = F.interpolate(F.pad(images, (1, 1, 1, 1)), scale_factor=2, mode="bilinear", align_corners=False)
    assert_close(Resample(3, 3, up=True)(images), bilinear[:, :, 2:-2, 2:-2])


def test_halving_is_the_adjoint_of_doubling_over_four():
    small, large = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 8, 8)
    doubled, halved = Resample(2, 2, up=True)(small), Resample(2, 2, up=False)(large)
    assert_close((doubled * large).sum(), 4 * (small * halved).sum())
    assert_close(Resample(1, 1, up=False)(torch.ones(1, 1, 8, 8))[:, :, 1:-1, 1:-1], torch.ones(1, 1, 2, 2))


def test_the_order_of_resampling_and_changing_the_width_makes_no_difference():
    for up in (True, False):
        resample, images = Resample(3, 5, up), torch.randn(2, 3, 4, 4)
        assert_close(resample(images), resample.change(Resample(3, 3, up)(images)))


def test_the_generator_starts_from_a_map_whose_channels_the_latents_scale():
    basis, latents = Basis(latent_size=2, width=3, base=4), torch.randn(5, 2)
    expected = torch.einsum("chw,cl,bl->bchw", basis.basis, basis.scale.weight, latents)
    assert_close(basis(latents), expected)


def test_widths_double_towards_the_base_up_to_eight_times():
    backbone = r3gan_backbone((3, 128, 128), width=2, blocks=1, group_size=2, expansion=2)
    assert [block.expand.in_channels for block in blocks(backbone)] == [2, 4, 8, 16, 16, 16]
    generator = R3GANGenerator(4, (3, 128, 128), width=2, blocks=1, group_size=2, expansion=2)
    assert [block.expand.in_channels for block in blocks(generator)] == [16, 16, 16, 8, 4, 2]


def test_groups_are_of_the_size_asked_for_or_of_one_that_divides_the_width():
    assert ResidualBlock(24, expansion=2, group_size=16, blocks=1).mix.weight.shape == (48, 16, 3, 3)
    assert ResidualBlock(12, expansion=2, group_size=16, blocks=1).mix.weight.shape == (24, 8, 3, 3)


def test_features_are_one_filter_over_each_channel_of_the_base():
    backbone = r3gan_backbone(SHAPE, width=2, blocks=1, group_size=2, expansion=2)
    *body, filters = backbone.layers
    maps = nn.Sequential(*body)(torch.randn(2, *SHAPE))
    assert maps.shape == (2, 16, 4, 4)
    assert_close(filters(maps).flatten(1), (maps * filters.weight[:, 0]).sum((2, 3)))


def test_there_is_no_normalization_anywhere():
    network = R3GANConfig(width=2, blocks=1, group_size=2)
    for module in (R3GANGenerator(4, SHAPE, 2, 1, 2, 2), network.discriminator(SHAPE, ConditionSpec(3), "projection")):
        leaves = [layer for layer in module.modules() if not list(layer.children())]
        assert {type(layer) for layer in leaves} <= {*ALLOWED, nn.Embedding}


def test_scores_of_a_new_discriminator_vary_as_much_as_its_features_do():
    torch.manual_seed(0)
    discriminator = R3GANConfig(width=64, blocks=1).discriminator((3, 32, 32))
    assert discriminator.head.weight.std().item() == pytest.approx(512**-0.5, rel=0.1)
