"""Updates left out: nothing of an optimizer moves then, everything as ever otherwise; and what is told of them."""

import math

import pytest
import torch
from torch import nn

from genlib.models.optimizer import OptimizerConfig
from genlib.training.phases import build_optimizer
from genlib.training.state import meter
from genlib.training.state.bad_updates import (
    WINDOW,
    SkippedSteps,
    any_phase,
    extents,
    restore_where,
    step_on_device_unless,
    step_unless,
    too_many,
)
from genlib.training.state.meter import LossMeter

CPU = torch.device("cpu")


class Learner:
    """Two parameters and their optimizer; `learn` makes an update from gradients that the number decides."""

    def __init__(self, algorithm):
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2)
        config = OptimizerConfig(algorithm=algorithm, learning_rate=0.1, weight_decay=0.01)
        self.optimizer = build_optimizer(config, list(self.layer.parameters()))

    def learn(self, number, step, spoilt=False):
        torch.manual_seed(number)
        for parameter in self.layer.parameters():
            parameter.grad = torch.randn_like(parameter)
            if spoilt:
                parameter.grad.view(-1)[0] = math.nan
        step(self.optimizer)

    def state(self):
        """Weights, and what the optimizer keeps."""
        state = {f"weight {number}": parameter for number, parameter in enumerate(self.layer.parameters())}
        for number, kept in self.optimizer.state_dict()["state"].items():
            state |= {f"{number} {key}": value for key, value in kept.items()}
        return {name: value.detach().clone() for name, value in state.items()}


def plainly(optimizer):
    optimizer.step()


def unless(skip, step):
    return lambda optimizer: step(torch.tensor(float(skip)), optimizer)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


both_optimizers = pytest.mark.parametrize("algorithm", ["adam", "rmsprop"])
on_both_devices = pytest.mark.parametrize("step", [step_unless, step_on_device_unless])  # these tensors are the host's


@both_optimizers
@on_both_devices
def test_a_step_that_is_not_left_out_is_the_optimizers_own_bit_for_bit(algorithm, step):
    ours, plain = Learner(algorithm), Learner(algorithm)
    for number in range(3):
        ours.learn(number, unless(False, step))
        plain.learn(number, plainly)
        assert_same(ours.state(), plain.state())


@both_optimizers
@on_both_devices
def test_a_step_that_is_left_out_changes_neither_weights_nor_moments_nor_counts(algorithm, step):
    learner = Learner(algorithm)
    learner.learn(0, plainly)
    before = learner.state()
    assert before["0 step"] == 1 and len(before) == 2 + 2 * (3 if algorithm == "adam" else 2)
    learner.learn(1, unless(True, step), spoilt=True)
    assert_same(learner.state(), before)


@both_optimizers
@on_both_devices
def test_left_out_at_the_very_first_step_it_is_as_new(algorithm, step):
    learner, new = Learner(algorithm), Learner(algorithm)
    learner.learn(0, unless(True, step), spoilt=True)
    after = learner.state()
    for name, weight in new.state().items():
        assert torch.equal(after.pop(name), weight)
    assert all(not value.any() for value in after.values())


@both_optimizers
@on_both_devices
def test_training_goes_on_as_if_the_steps_that_were_left_out_had_not_been(algorithm, step):
    ours, plain = Learner(algorithm), Learner(algorithm)
    for number, skip in enumerate([True, False, False, True, True, False]):
        ours.learn(number, unless(skip, step), spoilt=skip)
        if not skip:
            plain.learn(number, plainly)
    assert_same(ours.state(), plain.state())


def test_restoring_takes_what_was_and_no_mixture_with_what_is_no_number():
    tensors = [torch.tensor([1.0, math.nan]), torch.tensor(5)]
    before = [torch.tensor([7.0, 8.0]), torch.tensor(4)]
    restore_where(torch.tensor(0.0), tensors, [torch.full((2,), math.nan), torch.tensor(0)])
    assert tensors[0][0] == 1 and tensors[0][1].isnan() and tensors[1] == 5
    restore_where(torch.tensor(1.0), tensors, before)
    assert torch.equal(tensors[0], before[0]) and torch.equal(tensors[1], before[1])


def noted(skipped, phase, step, value=True):
    skipped.note(phase, step, torch.tensor(float(value)))


def test_steps_are_read_by_phase_in_order_and_by_their_numbers_in_the_run():
    skipped = SkippedSteps(["discriminator", "generator"], CPU)
    begun = 3 * WINDOW
    for step in (begun + 7, begun, begun + WINDOW - 1):
        noted(skipped, "generator", step)
    noted(skipped, "discriminator", begun + 1, value=False)
    assert skipped.read(begun + WINDOW) == {"generator": [begun, begun + 7, begun + WINDOW - 1]}
    assert skipped.read(begun + 8)["generator"][0] == begun  # also before the window's end


def test_a_phase_is_marked_where_any_of_its_repeats_was_left_out():
    skipped = SkippedSteps(["discriminator"], CPU)
    for value in (False, True, False):
        noted(skipped, "discriminator", 5, value)
    noted(skipped, "discriminator", 6, value=False)
    assert skipped.read(7) == {"discriminator": [5]}


def test_a_window_begins_empty_or_with_those_that_it_is_given():
    skipped = SkippedSteps(["discriminator", "generator"], CPU)
    noted(skipped, "generator", 5)
    skipped.start()
    assert skipped.read(6) == {}
    given = {"discriminator": [2 * WINDOW + 3], "generator": [2 * WINDOW, 2 * WINDOW + 3]}
    skipped.start(given)
    assert skipped.read(2 * WINDOW + 4) == given


def test_a_step_in_which_two_phases_were_left_out_counts_once():
    steps = {"discriminator": [1, 9], "generator": [2, 9]}
    assert any_phase(steps) == [1, 2, 9] and any_phase({}) == []


def test_extents_say_how_many_from_which_to_which():
    assert extents({"generator": [3, 4, 90], "encoder": [5]}) == {
        "generator": {"count": 3, "first": 3, "last": 90},
        "encoder": {"count": 1, "first": 5, "last": 5},
    }


@pytest.mark.parametrize(
    ("skipped", "steps_done", "verdict"),
    [
        (10, WINDOW, False),  # as many as are allowed
        (11, WINDOW, True),
        (11, 3 * WINDOW, True),
        (10, 3 * WINDOW, False),
        (5, 2 * WINDOW + 50, False),  # the run ends in the middle of a window
        (6, 2 * WINDOW + 50, True),
        (1, 2 * WINDOW + 1, True),
        (0, 2 * WINDOW + 1, False),
    ],
)
def test_more_than_ten_of_a_hundred_are_too_many_or_that_share_of_a_window_that_has_not_ended(
    skipped, steps_done, verdict
):
    assert too_many(skipped, steps_done, allowed=10) == verdict


def added(*losses, phase="vae"):
    """A meter's means of these micro-batches."""
    read = LossMeter()
    for of_batch in losses:
        read.add(phase, {name: torch.tensor(value) for name, value in of_batch.items()})
    return means(read)


def means(read):
    names, found = read.sums()
    return {name: total / count for name, total, count in zip(names, *found.tolist(), strict=True) if count}


def test_values_that_are_no_numbers_do_not_count():
    found = added({"total": 1.0}, {"total": math.nan}, {"total": 4.0}, {"total": math.inf}, {"total": -math.inf})
    assert found == {"vae/total": 2.5}
    assert added({"total": math.nan, "kl": 3.0}) == {"vae/kl": 3.0}  # each value for itself


def test_a_value_that_is_absent_from_some_is_a_mean_over_the_others():
    found = added({"total": 1.0}, {"total": 3.0, "penalty": 8.0}, {"penalty": 2.0, "total": 5.0})
    assert found == {"vae/total": 3.0, "vae/penalty": 5.0}


@pytest.mark.parametrize("count", [meter.MOST - 1, meter.MOST, meter.MOST + 1, 2 * meter.MOST + 5])
def test_the_mean_is_over_all_readings_however_many(count):
    losses = [{"total": float(number)} | ({"penalty": 1.0 + number} if number % 2 else {}) for number in range(count)]
    losses[count // 2] = {"total": math.nan}
    kept = [number for number in range(count) if number != count // 2]
    odd = [1.0 + number for number in kept if number % 2]
    found = added(*losses)
    assert found == pytest.approx({"vae/total": sum(kept) / len(kept), "vae/penalty": sum(odd) / len(odd)}, rel=1e-6)


def test_what_was_read_is_not_read_again_and_gradients_are_not_kept():
    read = LossMeter()
    loss = torch.ones((), requires_grad=True) * 2
    read.add("vae", {"total": loss})
    names, found = read.sums()
    assert names == ["vae/total"] and found.tolist() == [[2.0], [1.0]] and not found.requires_grad
    read.add("gan", {"total": torch.tensor(7.0)})
    assert means(read) == {"gan/total": 7.0}
