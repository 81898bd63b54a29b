import pytest
import torch
from torch import nn

from genlib.config.run import RunConfig
from genlib.layers.conditional import ConditionalBatchNorm
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.dcgan.modules import dcgan_backbone, dcgan_generator
from genlib.pixels.sizes import doublings


def test_at_64_pixels_it_has_the_papers_parameters():
    """Radford et al. 2015, figure 1, at half its width: 4x4x512 to 64x64x3."""
    generator = dcgan_generator(100, 64, (3, 64, 64))
    convolutions = [100 * 512 * 16, 512 * 256 * 16, 256 * 128 * 16, 128 * 64 * 16, 64 * 3 * 16 + 3]
    norms = 2 * (512 + 256 + 128 + 64)
    assert sum(parameter.numel() for parameter in generator.parameters()) == sum(convolutions) + norms


def test_it_starts_from_the_papers_distribution():
    torch.manual_seed(0)
    discriminator = DCGANConfig(width=32).discriminator((3, 32, 32))
    for module in (dcgan_generator(100, 64, (3, 32, 32)), discriminator):
        layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        weights = torch.cat([layer.weight.flatten() for layer in layers])
        assert abs(weights.std() - 0.02) < 1e-4 and abs(weights.mean()) < 3e-4
        assert all(not layer.bias.any() for layer in layers if layer.bias is not None)


def test_gains_start_around_one_those_of_each_class_apart():
    torch.manual_seed(0)
    plain = [layer for layer in dcgan_generator(4, 128, (3, 32, 32)).modules() if isinstance(layer, nn.BatchNorm2d)]
    conditional = dcgan_generator(4, 64, (3, 32, 32), classes=10).modules()
    norms = [layer for layer in conditional if isinstance(layer, ConditionalBatchNorm)]
    for gains in ([norm.weight for norm in plain], [norm.gain.weight for norm in norms]):
        every = torch.cat([gain.flatten() for gain in gains])
        assert abs(every.mean() - 1) < 2e-3 and abs(every.std() - 0.02) < 2e-3
    assert not any(bias.any() for bias in [norm.bias for norm in plain] + [norm.bias.weight for norm in norms])


def test_no_batch_norm_at_the_discriminators_input_and_the_generators_output():
    generator, discriminator = dcgan_generator(4, 2, (1, 32, 32)), dcgan_backbone((1, 32, 32), 2).layers
    assert isinstance(generator[-1], nn.ConvTranspose2d) and isinstance(generator[-2], nn.ReLU)
    assert isinstance(discriminator[0], nn.Conv2d) and isinstance(discriminator[1], nn.LeakyReLU)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in discriminator) == 2


def test_a_discriminator_without_norm_has_biases_instead():
    discriminator = DCGANConfig(width=2, discriminator_norm="none").discriminator((1, 32, 32))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules())
    assert all(layer.bias is not None for layer in discriminator.modules() if isinstance(layer, nn.Conv2d))


def test_a_smaller_base_gives_small_images_more_layers() -> None:
    generator = dcgan_generator(4, 8, (1, 8, 8), base=2)
    maps = [layer for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in maps] == [(4, 16), (16, 8), (8, 1)]
    assert generator(torch.randn(3, 4)).shape == (3, 1, 8, 8)
    backbone = dcgan_backbone((1, 8, 8), 8, base=2)
    assert backbone.num_features == 16 * 2 * 2
    assert backbone(torch.randn(3, 1, 8, 8)).shape == (3, 64)


def test_the_base_decides_which_image_sizes_can_be_made() -> None:
    assert doublings(8, base=1) == 3 and doublings(12, base=2) == 2 and doublings(20, base=2) is None
    with pytest.raises(ValueError, match="makes square images of 2 to 3 pixels doubled"):
        dcgan_generator(4, 8, (1, 20, 20), base=2)
    data = {"source": "digits", "image_size": 20, "channels": 1}
    method = {"name": "gan", "network": {"name": "dcgan", "base": 2}}
    run = {"data": data, "method": method, "registry": {"model": "m"}}
    with pytest.raises(ValueError, match=r"which double 2 to 3 pixels; use 16 or 24"):
        RunConfig.model_validate(run)
