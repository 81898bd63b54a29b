import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close

from genlib.config.load import load_config
from genlib.layers.shapes import ConditionSpec
from genlib.networks.resnet.config import ResNetConfig
from genlib.networks.resnet.modules import DownBlock, Pool, UpBlock, resnet_backbone, resnet_generator
from tests.conftest import CONFIGS

CIFAR = (3, 32, 32)
RESNETS = ["wgan_gp_cifar10", "hinge_sngan_cifar10", "hinge_csngan_cifar10"]


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_at_32_pixels_it_has_as_many_parameters_as_sngans():
    """Miyato et al. 2018, table 4, counted by hand; every convolution has a bias."""
    network = ResNetConfig(width=256, discriminator_width=128)

    def conv(inputs, outputs, kernel):
        return inputs * outputs * kernel**2 + outputs

    up = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 2 * 2 * 256
    generator = 128 * 4096 + 4096 + 3 * up + 2 * 256 + conv(256, 3, 3)
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    down = 2 * conv(128, 128, 3) + conv(128, 128, 1)
    discriminator = first + down + 2 * 2 * conv(128, 128, 3) + 128 + 1
    assert parameters(network.generator(128, CIFAR)) == generator == pytest.approx(4.3e6, rel=0.01)
    assert parameters(network.discriminator(CIFAR)) == discriminator == pytest.approx(1.05e6, rel=0.01)


def test_blocks_without_pooling_work_on_eight_pixels_at_32_and_beyond():
    for size, pooling in ((32, 2), (64, 3), (128, 4)):
        blocks = [layer for layer in resnet_backbone((3, size, size), 4).modules() if isinstance(layer, DownBlock)]
        assert [block.pools for block in blocks] == [True] * pooling + [False] * 2
        assert size // 2**pooling == 8


def test_the_width_halves_with_each_doubling_beyond_the_third():
    generator = resnet_generator(4, 16, (3, 128, 128))
    widths = [layer.second.out_channels for layer in generator if isinstance(layer, UpBlock)]
    assert widths == [16, 16, 16, 8, 4]
    blocks = [layer for layer in resnet_backbone((3, 128, 128), 16).modules() if isinstance(layer, DownBlock)]
    assert [block.second.out_channels for block in blocks] == [4, 8, 16, 16, 16, 16]


def test_an_up_block_is_the_papers():
    """Gulrajani et al. 2017, appendix C: norm, ReLU, doubling, convolution, norm, ReLU, convolution, and a shortcut."""
    block, images = UpBlock(2, 3), torch.randn(4, 2, 4, 4)
    hidden = F.relu(F.batch_norm(images, None, None, training=True)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    hidden = F.conv2d(hidden, block.first.weight, block.first.bias, padding=1)
    hidden = F.relu(F.batch_norm(hidden, None, None, training=True))
    hidden = F.conv2d(hidden, block.second.weight, block.second.bias, padding=1)
    beside = F.conv2d(images.repeat_interleave(2, 2).repeat_interleave(2, 3), block.shortcut.weight)
    assert_close(block(images), hidden + beside)


@pytest.mark.parametrize("first", [True, False])
def test_a_down_block_is_the_papers(first):
    """The shortcut convolves before it pools, as in Gulrajani et al. 2017; ours pools first, which is equal."""
    block, images = DownBlock(2, 3, first=first), torch.randn(4, 2, 6, 6)
    hidden = F.conv2d(images if first else images.clamp(min=0), block.first.weight, padding=1)
    hidden = F.conv2d(hidden.clamp(min=0), block.second.weight, padding=1)
    beside = F.conv2d(images, block.shortcut.weight)
    pooled = (hidden + beside).unflatten(2, (3, 2)).unflatten(4, (3, 2)).mean((3, 5))
    assert_close(block(images), pooled)


def test_a_block_that_keeps_its_shape_has_no_convolution_beside_it():
    block, images = DownBlock(2, 2, pools=False), torch.randn(1, 2, 4, 4)
    nn.init.zeros_(block.second.weight)
    assert torch.equal(block(images), images)


def test_features_are_sums_or_means_over_pixels_of_which_the_negative_count_as_0():
    image = torch.tensor([[[[1.0, -2.0], [3.0, 4.0]]]])
    assert_close(Pool()(image), torch.tensor([[8.0]]))
    assert_close(Pool("mean")(image), torch.tensor([[2.0]]))


def test_the_critic_pools_as_its_configuration_says_and_one_of_before_the_key_sums():
    """WGAN-GP's authors take the mean of the 8x8 map, SNGAN's the sum: 64 times as much before the head's bias."""
    networks = {name: load_config(CONFIGS / f"{name}.yaml").method.network for name in RESNETS}
    pooling = {name: network.pooling for name, network in networks.items()}
    assert pooling == {"wgan_gp_cifar10": "mean", "hinge_sngan_cifar10": "sum", "hinge_csngan_cifar10": "sum"}
    assert ResNetConfig.model_validate({"name": "resnet", "width": 256, "discriminator_width": 128}).pooling == "sum"
    scores = []
    for pooling in ("mean", "sum"):
        torch.manual_seed(0)
        critic = ResNetConfig(discriminator_width=4, pooling=pooling).discriminator(CIFAR)
        scores.append(critic(torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, *CIFAR)))
    assert_close(scores[1], 64 * scores[0])  # the head's bias is 0 at first


def test_projection_is_onto_the_pooled_features_that_the_head_sees():
    network = ResNetConfig(discriminator_width=4, pooling="mean")
    critic = network.discriminator(CIFAR, ConditionSpec(classes=3), "projection")
    images, labels = torch.randn(2, *CIFAR), torch.tensor([0, 2])
    features = F.relu(critic.backbone.layers[:-1](images)).mean((2, 3))
    expected = critic.head(features)[:, 0] + (critic.embedding.weight[labels] * features).sum(1)
    assert_close(critic(images, labels), expected)


def test_weights_are_xaviers_with_a_gain_inside_the_branches_only():
    torch.manual_seed(0)
    for block in (UpBlock(64, 64), DownBlock(64, 64)):
        for layer, gain in ((block.first, 2**0.5), (block.second, 2**0.5), (block.shortcut, 1.0)):
            fans = 2 * 64 * layer.kernel_size[0] ** 2
            assert layer.weight.std().item() == pytest.approx(gain * (2 / fans) ** 0.5, rel=0.03)
            assert not layer.bias.any()


def test_normalization_is_in_the_generator_only():
    assert sum(isinstance(layer, _BatchNorm) for layer in resnet_generator(4, 4, CIFAR).modules()) == 7
    assert not any(isinstance(layer, _BatchNorm | nn.GroupNorm) for layer in resnet_backbone(CIFAR, 4).modules())
