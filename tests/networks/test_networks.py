"""What holds for every network at every size: shapes, gradients, labels, packs and refusals."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.testing import assert_close

from genlib.layers.shapes import ConditionSpec
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.mlp.config import MLPConfig
from genlib.networks.r3gan.config import R3GANConfig
from genlib.networks.resnet.config import ResNetConfig
from genlib.pixels.sizes import doublings, nearest_sizes

CLASSES, LATENT_SIZE = 3, 5
MLP = MLPConfig(hidden_sizes=[7, 6])
MLP_WITH_NORM = MLPConfig(hidden_sizes=[7, 6], norm="batch")
DCGAN, PLAIN_DCGAN = DCGANConfig(width=2), DCGANConfig(width=2, discriminator_norm="none")
RESNET = ResNetConfig(width=4, discriminator_width=4)
R3GAN = R3GANConfig(width=2, blocks=1, group_size=2)
NETWORKS = [MLP, MLP_WITH_NORM, DCGAN, PLAIN_DCGAN, RESNET, R3GAN]
GENERATORS = [
    *[(network, conditioning) for network in NETWORKS for conditioning in ("none", "concat")],
    *[(network, "batch_norm") for network in (MLP_WITH_NORM, DCGAN, RESNET)],
]
SHAPES = [(1, 8, 8), (3, 12, 12), (1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 128, 128)]
SMALL = (3, 16, 16)


def name(value):
    return value.name if hasattr(value, "name") else str(value)


def shaken(module):
    """Weights at which no gain is one and no branch is zero, so that nothing is equal or still by chance."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def weights_without_gradient(module):
    """A bias right before a batch norm has none, rightly; so biases are left out."""
    return [
        key
        for key, parameter in module.named_parameters()
        if parameter.grad is None or (parameter.dim() > 1 and not parameter.grad.any())
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("network", "conditioning"), GENERATORS, ids=name)
def test_every_generator_makes_images_of_every_size(network, conditioning, shape):
    generator = network.generator(LATENT_SIZE, shape, ConditionSpec(CLASSES), conditioning)
    with torch.no_grad():
        images = generator(torch.randn(2, LATENT_SIZE), torch.tensor([0, 2]))
    assert images.shape == (2, *shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_every_discriminator_and_encoder_reads_images_of_every_size(network, shape):
    images, labels = torch.randn(2, *shape), torch.tensor([0, 2])
    with torch.no_grad():
        for conditioning in ("none", "concat", "projection"):
            assert network.discriminator(shape, ConditionSpec(CLASSES), conditioning)(images, labels).shape == (2,)
        for classes in (0, CLASSES):
            assert network.encoder(shape, 4, ConditionSpec(classes))(images, labels).shape == (2, 4)


@pytest.mark.parametrize("network", [MLP, MLP_WITH_NORM], ids=["none", "batch"])
def test_points_in_the_plane_take_the_mlp(network):
    points, labels = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    assert network.generator(LATENT_SIZE, (2,))(torch.randn(4, LATENT_SIZE)).shape == (4, 2)
    assert network.encoder((2,), 3, ConditionSpec(CLASSES))(points, labels).shape == (4, 3)
    assert network.discriminator((2,), ConditionSpec(CLASSES), "concat", pack=2)(points, labels).shape == (2,)


@pytest.mark.parametrize(("network", "conditioning"), GENERATORS, ids=name)
def test_gradients_reach_every_weight_of_a_generator(network, conditioning):
    generator = shaken(network.generator(LATENT_SIZE, SMALL, ConditionSpec(CLASSES), conditioning))
    generator(torch.randn(6, LATENT_SIZE), torch.arange(6) % CLASSES).square().sum().backward()
    assert weights_without_gradient(generator) == []


@pytest.mark.parametrize("conditioning", ["none", "concat", "projection"])
@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_gradients_of_gradients_reach_every_weight_of_a_discriminator(network, conditioning):
    discriminator = shaken(network.discriminator(SMALL, ConditionSpec(CLASSES), conditioning))
    images = torch.randn(6, *SMALL, requires_grad=True)
    scores = discriminator(images, torch.arange(6) % CLASSES)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    assert gradient.abs().flatten(1).sum(1).gt(0).all()
    (gradient.square().sum() + scores.square().sum()).backward()
    assert weights_without_gradient(discriminator) == []
    assert all(parameter.grad.isfinite().all() for parameter in discriminator.parameters())


@pytest.mark.parametrize(("network", "conditioning"), GENERATORS, ids=name)
def test_labels_change_what_a_conditional_generator_makes_and_nothing_else(network, conditioning):
    generator = shaken(network.generator(LATENT_SIZE, SMALL, ConditionSpec(CLASSES), conditioning)).eval()
    latents, labels = torch.randn(3, LATENT_SIZE), torch.tensor([0, 1, 2])
    with torch.no_grad():
        same = torch.isclose(generator(latents, labels), generator(latents, torch.tensor([0, 1, 1])), atol=1e-6)
    assert same[:2].all()
    assert same[2].all() == (conditioning == "none")


@pytest.mark.parametrize("network", [MLP, DCGAN, RESNET, R3GAN], ids=name)
def test_labels_stand_beside_the_images_as_planes_of_zeros_and_ones(network):
    images, labels = torch.randn(4, *SMALL), torch.tensor([2, 0, 1, 1])
    planes = torch.zeros(4, CLASSES, *SMALL[1:])
    for image, label in zip(planes, labels, strict=True):
        image[label] = 1
    inputs = torch.cat([images, planes], dim=1)
    if network is MLP:
        inputs = torch.cat([images.flatten(1), planes[:, :, 0, 0]], dim=1)
    discriminator = network.discriminator(SMALL, ConditionSpec(CLASSES), "concat")
    assert_close(discriminator(images, labels), discriminator.head(discriminator.backbone(inputs))[:, 0])
    encoder = network.encoder(SMALL, 2, ConditionSpec(CLASSES))
    assert_close(encoder(images, labels), encoder.head(encoder.backbone(inputs)))


@pytest.mark.parametrize("network", [MLP, DCGAN, RESNET, R3GAN], ids=name)
def test_a_projection_adds_the_labels_embedding_times_the_features(network):
    """Miyato & Koyama 2018, eq. 5, image by image."""
    discriminator = shaken(network.discriminator(SMALL, ConditionSpec(CLASSES), "projection")).eval()
    images, labels = torch.randn(4, *SMALL), torch.tensor([2, 0, 1, 1])
    expected = []
    for features, label in zip(discriminator.features(images), labels, strict=True):
        psi = discriminator.head.weight[0].dot(features) + discriminator.head.bias[0]
        expected.append(psi + discriminator.embedding.weight[label].dot(features))
    assert_close(discriminator(images, labels), torch.stack(expected))


@pytest.mark.parametrize("network", [MLP, DCGAN, RESNET, R3GAN], ids=name)
def test_a_pack_is_judged_as_one_image_of_all_its_channels(network):
    discriminator = network.discriminator(SMALL, ConditionSpec(CLASSES), "concat", pack=2)
    images, labels = torch.randn(4, *SMALL), torch.tensor([2, 0, 1, 1])
    hot = F.one_hot(labels, CLASSES).float()
    if network is MLP:
        judged = [torch.cat([images[i].flatten(), hot[i]]) for i in range(4)]
    else:
        judged = [torch.cat([images[i], hot[i][:, None, None].expand(-1, 16, 16)]) for i in range(4)]
    packs = torch.stack([torch.cat(judged[:2]), torch.cat(judged[2:])])
    assert_close(discriminator.features(images, labels), discriminator.backbone(packs))
    assert discriminator(images, labels).shape == (2,)


@pytest.mark.parametrize("network", [MLP, PLAIN_DCGAN, RESNET], ids=name)
def test_spectral_norm_brings_every_weight_of_a_discriminator_to_one(network):
    torch.manual_seed(0)
    discriminator = network.discriminator(SMALL, ConditionSpec(CLASSES), "projection", spectral_norm=True)
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)]
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers)
    assert all(0.9 < torch.linalg.matrix_norm(layer.weight.flatten(1), 2) < 1.1 for layer in layers)


def test_spectral_norm_of_weights_that_begin_at_zero_is_refused():
    with pytest.raises(ValueError, match="weight of zeros"):
        R3GAN.discriminator(SMALL, spectral_norm=True)


@pytest.mark.parametrize("network", [MLP, R3GAN], ids=name)
def test_labels_for_a_batch_norm_that_is_not_there_are_refused(network):
    with pytest.raises(ValueError, match="concat"):
        network.generator(LATENT_SIZE, SMALL, ConditionSpec(CLASSES), "batch_norm")


def test_a_conditional_network_without_labels_says_so():
    images, latents = torch.randn(2, *SMALL), torch.randn(2, LATENT_SIZE)
    for conditioning in ("concat", "batch_norm"):
        with pytest.raises(ValueError, match="needs labels"):
            DCGAN.generator(LATENT_SIZE, SMALL, ConditionSpec(CLASSES), conditioning)(latents)
    for conditioning in ("concat", "projection"):
        with pytest.raises(ValueError, match="needs labels"):
            DCGAN.discriminator(SMALL, ConditionSpec(CLASSES), conditioning)(images)
    with pytest.raises(ValueError, match="needs labels"):
        DCGAN.encoder(SMALL, 2, ConditionSpec(CLASSES))(images)


def test_packs_are_refused_for_projections_and_where_they_are_not_whole():
    with pytest.raises(ValueError, match="projection"):
        DCGAN.discriminator(SMALL, ConditionSpec(CLASSES), "projection", pack=2)
    with pytest.raises(ValueError, match="3 images.*packs of 2"):
        DCGAN.discriminator(SMALL, pack=2)(torch.randn(3, *SMALL))


@pytest.mark.parametrize("network", [DCGAN, RESNET, R3GAN], ids=name)
@pytest.mark.parametrize("shape", [(1, 30, 30), (1, 16, 32), (1, 4, 4)], ids=str)
def test_a_size_that_doubling_cannot_make_is_refused(network, shape):
    with pytest.raises(ValueError, match=f"{shape[1]}x{shape[2]}"):
        network.generator(LATENT_SIZE, shape)
    with pytest.raises(ValueError, match=f"{shape[1]}x{shape[2]}"):
        network.discriminator(shape)


def test_sizes_are_four_to_seven_pixels_doubled():
    assert {size for size in range(1, 129) if doublings(size)} == {
        base * 2**count for base in (4, 5, 6, 7) for count in range(1, 6) if base * 2**count <= 128
    }
    assert nearest_sizes(30) == [28, 32]
