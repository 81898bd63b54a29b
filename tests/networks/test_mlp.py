import torch
from torch import nn

from genlib.layers.conditional import ConditionalBatchNorm
from genlib.layers.shapes import ConditionSpec
from genlib.networks.mlp.config import MLPConfig

SHAPE = (3, 8, 8)


def sizes(module):
    return [(layer.in_features, layer.out_features) for layer in module.modules() if isinstance(layer, nn.Linear)]


def kinds(module):
    return [type(layer) for layer in module.modules() if isinstance(layer, nn.ReLU | nn.Tanh | nn.LeakyReLU)]


def test_a_generator_takes_the_encoders_hidden_sizes_in_reverse():
    network = MLPConfig(hidden_sizes=[7, 5])
    assert sizes(network.encoder(SHAPE, 4)) == [(192, 7), (7, 5), (5, 4)]
    assert sizes(network.generator(2, SHAPE)) == [(2, 5), (5, 7), (7, 192)]


def test_labels_widen_the_first_layer():
    network = MLPConfig(hidden_sizes=[7, 5])
    assert sizes(network.encoder(SHAPE, 4, ConditionSpec(10)))[0] == (202, 7)
    assert sizes(network.generator(2, SHAPE, ConditionSpec(10), "concat"))[0] == (12, 5)
    assert sizes(network.discriminator((2,), ConditionSpec(10), "concat", pack=3))[0] == (36, 7)


def test_an_encoder_and_a_generator_take_the_activation_asked_for_and_a_discriminator_the_leaky_one():
    network = MLPConfig(hidden_sizes=[7, 5], activation="tanh")
    assert kinds(network.encoder(SHAPE, 4)) == kinds(network.generator(2, SHAPE)) == [nn.Tanh, nn.Tanh]
    assert kinds(network.discriminator(SHAPE)) == [nn.LeakyReLU, nn.LeakyReLU]


def test_a_discriminator_of_one_layer_is_linear_leaky_and_linear():
    discriminator = MLPConfig(hidden_sizes=[7]).discriminator((2,))
    first, points = discriminator.backbone.layers[0], torch.randn(5, 2)
    hidden = points @ first.weight.T + first.bias
    hidden = torch.maximum(hidden, 0.2 * hidden)
    expected = hidden @ discriminator.head.weight[0] + discriminator.head.bias
    torch.testing.assert_close(discriminator(points), expected)


def test_batch_norm_stands_in_the_hidden_layers_of_the_generator_only():
    network = MLPConfig(hidden_sizes=[7, 5], norm="batch")
    norms = [layer for layer in network.generator(2, SHAPE).modules() if isinstance(layer, nn.BatchNorm1d)]
    assert [norm.num_features for norm in norms] == [5, 7] and all(norm.affine for norm in norms)
    conditional = network.generator(2, SHAPE, ConditionSpec(4), "batch_norm").modules()
    assert [layer.gain.weight.shape for layer in conditional if isinstance(layer, ConditionalBatchNorm)] == [
        (4, 5),
        (4, 7),
    ]
    for module in (network.encoder(SHAPE, 4), network.discriminator(SHAPE)):
        assert not any(isinstance(layer, nn.BatchNorm1d) for layer in module.modules())
