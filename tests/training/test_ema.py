import torch
from torch import nn
from torch.testing import assert_close

from genlib.training.ema import RAMP_UP, MovingAverage


def test_the_average_covers_half_the_distance_in_a_half_life():
    source = nn.Linear(1, 1)
    average = MovingAverage(source, half_life=100)
    before = source.weight.detach().clone()
    with torch.no_grad():
        source.weight.add_(1.0)
    for _ in range(10):
        average.update(images_seen=10**9, images_per_step=10)
    assert_close(average.current().weight, before + 0.5)


def test_early_on_the_half_life_is_a_share_of_the_images_seen():
    source = nn.Linear(1, 1)
    average = MovingAverage(source, half_life=10_000)
    before = source.weight.detach().clone()
    with torch.no_grad():
        source.weight.add_(1.0)
    average.update(images_seen=1000, images_per_step=round(1000 * RAMP_UP))
    assert_close(average.current().weight, before + 0.5)


def test_without_a_half_life_the_average_is_the_source():
    source = nn.Linear(2, 2)
    average = MovingAverage(source, half_life=0)
    with torch.no_grad():
        source.weight.fill_(3.0)
    average.update(10, 10)
    assert_close(average.current().weight, source.weight)
    assert not average.current().weight.requires_grad
