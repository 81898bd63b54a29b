import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genlib.networks.batch_norm import reestimate_batch_norm
from genlib.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genlib.networks.mlp import mlp_decoder, mlp_discriminator, mlp_encoder
from genlib.sizes import doublings, nearest_sizes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 12, 20, 28, 32, 48, 64, 96, 128])
def test_dcgan_makes_and_reads_images_of_every_size_that_its_strides_allow(size, channels):
    images = DCGANGenerator(latent_size=5, width=2, image_shape=(channels, size, size))(torch.randn(2, 5))
    assert images.shape == (2, channels, size, size)
    assert DCGANDiscriminator((channels, size, size), width=2, outputs=3)(images).shape == (2, 3)


def test_dcgan_at_64_pixels_has_the_papers_parameters():
    """Radford et al. 2015, figure 1, at half its width: 4x4x512 to 64x64x3."""
    generator = DCGANGenerator(latent_size=100, width=64, image_shape=(3, 64, 64))
    convolutions = [100 * 512 * 16, 512 * 256 * 16, 256 * 128 * 16, 128 * 64 * 16, 64 * 3 * 16 + 3]
    norms = 2 * (512 + 256 + 128 + 64)
    assert sum(parameter.numel() for parameter in generator.parameters()) == sum(convolutions) + norms


def test_dcgan_starts_from_the_papers_distribution():
    torch.manual_seed(0)
    generator = DCGANGenerator(latent_size=100, width=64, image_shape=(3, 32, 32))
    weights = torch.cat([layer.weight.flatten() for layer in generator.layers if isinstance(layer, nn.ConvTranspose2d)])
    assert abs(weights.std() - 0.02) < 1e-4 and abs(weights.mean()) < 1e-4


def test_dcgan_has_no_batch_norm_at_the_discriminators_input_and_the_generators_output():
    generator, discriminator = DCGANGenerator(4, 2, (1, 32, 32)).layers, DCGANDiscriminator((1, 32, 32), 2, 1).layers
    assert isinstance(generator[-1], nn.ConvTranspose2d) and isinstance(generator[-2], nn.ReLU)
    assert isinstance(discriminator[0], nn.Conv2d) and isinstance(discriminator[1], nn.LeakyReLU)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator)


def test_dcgan_refuses_a_size_that_its_strides_cannot_make():
    with pytest.raises(ValueError, match="30x30"):
        DCGANGenerator(4, 2, (1, 30, 30))


def test_sizes_are_four_to_seven_pixels_doubled():
    assert {size for size in range(1, 129) if doublings(size)} == {
        base * 2**count for base in (4, 5, 6, 7) for count in range(1, 6) if base * 2**count <= 128
    }
    assert nearest_sizes(30) == [28, 32]


def test_mlps_map_images_to_vectors_and_back():
    images = torch.randn(2, 3, 8, 8)
    assert mlp_encoder((3, 8, 8), [7, 5], outputs=4)(images).shape == (2, 4)
    assert mlp_discriminator((3, 8, 8), [7])(images).shape == (2, 1)
    decoder = mlp_decoder(4, [7, 5], (3, 8, 8))
    assert decoder(torch.randn(2, 4)).shape == (2, 3, 8, 8)
    assert [layer.out_features for layer in decoder[0] if isinstance(layer, nn.Linear)] == [5, 7, 192]


def test_reestimated_statistics_are_the_mean_over_the_batches():
    norm = nn.BatchNorm1d(2)
    batches = [torch.randn(50, 2) * 3 + 1, torch.randn(50, 2)]
    reestimate_batch_norm(norm, norm, batches)
    assert_close(norm.running_mean, torch.stack([batch.mean(0) for batch in batches]).mean(0))
    assert_close(norm.running_var, torch.stack([batch.var(0) for batch in batches]).mean(0))
    assert norm.momentum == 0.1 and not norm.training
