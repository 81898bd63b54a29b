import pytest
import torch
from torch import nn

from genlib.layers.shapes import ConditionSpec
from genlib.networks.unet.config import UNetConfig
from genlib.networks.unet.modules import widths_of

NETWORK = UNetConfig(width=4, discriminator_layers=1)


def parts(shape, given=(2, 4, 4)):
    torch.manual_seed(0)
    return NETWORK.generator(5, shape, ConditionSpec(shape=given), "concat")


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 12), (1, 28, 28), (3, 32, 32), (3, 128, 128)], ids=str)
def test_images_of_every_size_come_from_contexts_of_another(shape):
    small = (2, shape[1] // 2, shape[2] // 2)
    generator, given = parts(shape, small), torch.rand(2, *small)
    images = generator(torch.randn(2, 5), given)
    assert images.shape == (2, *shape)
    assert NETWORK.encoder(shape, 6, ConditionSpec(shape=small))(images, given).shape == (2, 6)
    scores = NETWORK.discriminator(shape, ConditionSpec(shape=small), "concat")(images, given)
    assert scores.shape == (2, (shape[1] // 2) ** 2)


def test_every_weight_and_both_inputs_matter():
    generator = parts((3, 16, 16))
    latents, given = torch.randn(3, 5, requires_grad=True), torch.rand(3, 2, 4, 4, requires_grad=True)
    generator(latents, given).square().sum().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())
    assert all(parameter.grad.any() for parameter in generator.parameters() if parameter.dim() > 1)
    assert latents.grad.flatten(1).any(1).all() and given.grad.flatten(1).any(1).all()


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    generator, latents, given = parts((1, 8, 8)), torch.randn(4, 5), torch.rand(4, 2, 4, 4)
    together = generator(latents, given)
    torch.testing.assert_close(generator(latents[:1], given[:1]), together[:1], atol=1e-5, rtol=1e-4)


def test_channels_double_at_two_halvings():
    assert widths_of(4, 3) == [4, 8, 16, 16]


def test_without_an_image_there_is_no_unet():
    with pytest.raises(ValueError, match="there is none; use dcgan"):
        NETWORK.generator(5, (1, 8, 8))
    with pytest.raises(ValueError, match="needs labels or a context"):
        parts((1, 8, 8))(torch.randn(1, 5))


def test_without_its_first_norm_the_patch_discriminator_has_a_bias_there_and_norms_after_it():
    def layers_of(layers, first_norm):
        network = UNetConfig(width=4, discriminator_layers=layers, discriminator_first_norm=first_norm)
        return [*network.discriminator((1, 16, 16), ConditionSpec(shape=(2, 4, 4)), "concat").layers]

    first, *rest = layers_of(2, first_norm=False)
    assert first.bias is not None and isinstance(rest[0], nn.LeakyReLU)
    assert [type(layer) for layer in rest[1:4]] == [nn.Conv2d, nn.GroupNorm, nn.LeakyReLU] and rest[1].bias is None
    assert not any(isinstance(layer, nn.GroupNorm) for layer in layers_of(1, first_norm=False))
    first, second, *_ = layers_of(2, first_norm=True)
    assert first.bias is None and isinstance(second, nn.GroupNorm)


def test_without_its_first_norm_the_patch_discriminator_sees_the_contrast_of_flat_images():
    """A norm over an image takes away how bright and how strong its patterns are; Isola et al. 2017 leave it out."""

    def slope(first_norm):
        torch.manual_seed(0)
        network = UNetConfig(width=4, discriminator_layers=1, discriminator_first_norm=first_norm)
        discriminator = network.discriminator((1, 8, 8), ConditionSpec(shape=(1, 8, 8)), "concat")
        images, context = torch.rand(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
        weak, strong = discriminator(0.5 * images, context), discriminator(images, context)
        return ((strong - weak).abs().mean() / strong.abs().mean()).item()

    assert slope(first_norm=True) < 0.01 < 0.05 < slope(first_norm=False)
