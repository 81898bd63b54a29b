import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from genlib.layers.batch_norm import reestimate_batch_norm
from genlib.layers.conditional import ConditionalBatchNorm, LabelSequential, batch_norm_1d, batch_norm_2d


@pytest.mark.parametrize(("build", "shape"), [(batch_norm_1d, (6, 2)), (batch_norm_2d, (6, 2, 3, 3))])
def test_a_conditional_norm_is_each_labels_gain_and_bias_on_what_all_labels_normalize(build, shape):
    """Dumoulin et al. 2017, eq. 5, image by image."""
    norm, inputs, labels = build(2, classes=3), torch.randn(shape) * 3 + 1, torch.tensor([0, 1, 2, 2, 1, 0])
    nn.init.normal_(norm.gain.weight)
    nn.init.normal_(norm.bias.weight)
    over = [dimension for dimension in range(inputs.dim()) if dimension != 1]
    mean, variance = inputs.mean(over, keepdim=True), inputs.var(over, unbiased=False, keepdim=True)
    normalized = (inputs - mean) / (variance + 1e-5).sqrt()
    outputs = norm(inputs, labels)
    for channel in range(2):
        for image, label in enumerate(labels):
            gain, bias = norm.gain.weight[label, channel], norm.bias.weight[label, channel]
            assert_close(outputs[image, channel], gain * normalized[image, channel] + bias)


def test_a_new_conditional_norm_is_a_plain_one():
    inputs = torch.randn(4, 3, 2, 2)
    assert_close(batch_norm_2d(3, classes=5)(inputs, torch.tensor([4, 0, 1, 2])), batch_norm_2d(3)(inputs))


@pytest.mark.parametrize("build", [batch_norm_1d, batch_norm_2d])
def test_a_conditional_norm_has_no_gain_of_its_own_beside_those_of_the_labels(build):
    assert {name for name, _ in build(3, classes=5).named_parameters()} == {"gain.weight", "bias.weight"}
    assert {name for name, _ in build(3).named_parameters()} == {"weight", "bias"}


def test_statistics_of_a_conditional_norm_are_measured_afresh_as_others_are():
    norm, labels = batch_norm_2d(2, classes=3), torch.tensor([0, 1, 2, 0])
    batches = [torch.randn(4, 2, 5, 5) * 2 + 1 for _ in range(3)]
    reestimate_batch_norm(norm, lambda batch: norm(batch, labels), batches)
    expected = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    assert_close(norm.norm.running_mean, expected)
    assert not norm.norm.training


def test_labels_go_to_the_layers_that_take_them_and_no_others():
    norm = ConditionalBatchNorm(nn.BatchNorm1d(2, affine=False), classes=3)
    nn.init.normal_(norm.bias.weight)
    layers, inputs, labels = LabelSequential(nn.ReLU(), norm, nn.ReLU()), torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    assert_close(layers(inputs, labels), F.relu(norm(F.relu(inputs), labels)))
