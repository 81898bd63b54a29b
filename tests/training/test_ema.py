import torch
from torch import nn
from torch.testing import assert_close

from genlib.training.state.ema import EVERY, RAMP_UP, MovingAverage


def test_the_average_covers_half_the_distance_in_a_half_life():
    source = nn.Linear(1, 1)
    average = MovingAverage(source, half_life=5 * EVERY * 3)
    before = source.weight.detach().clone()
    with torch.no_grad():
        source.weight.add_(1.0)
    for step in range(1_000_001, 1_000_001 + 5 * EVERY):
        average.update(step, images_per_step=3)
    assert_close(average.current().weight, before + 0.5)


def test_early_on_the_half_life_is_a_share_of_the_images_seen():
    source = nn.Linear(1, 1)
    average = MovingAverage(source, half_life=10_000)
    before = source.weight.detach().clone()
    with torch.no_grad():
        source.weight.add_(1.0)
    step = round(EVERY / RAMP_UP)  # then the images since the last move are one half-life
    average.update(step, images_per_step=4)
    assert_close(average.current().weight, before + 0.5)


def test_without_a_half_life_the_average_is_the_source():
    source = nn.Linear(2, 2)
    average = MovingAverage(source, half_life=0)
    with torch.no_grad():
        source.weight.fill_(3.0)
    average.update(EVERY, 10)
    assert_close(average.current().weight, source.weight)
    assert not average.current().weight.requires_grad


def test_the_last_step_moves_the_average_by_what_is_left():
    source = nn.Linear(1, 1)
    average = MovingAverage(source, half_life=10**9)
    before = source.weight.detach().clone()
    with torch.no_grad():
        source.weight.add_(1.0)
    average.update(EVERY + 1, images_per_step=1)
    assert_close(average.current().weight, before)
    average.update(EVERY + 1, images_per_step=1, last=True)
    half_life = (EVERY + 1) * RAMP_UP
    assert_close(average.current().weight, before + 1 - 0.5 ** (1 / half_life))
