"""Bad updates: an optimizer does not move in one, and moves as ever otherwise; and how they are counted and told."""

import math

import pytest
import torch
from torch import nn

from genlib.models.optimizer import OptimizerConfig
from genlib.training.phases import build_optimizer
from genlib.training.state import meter
from genlib.training.state.bad_updates import (
    WINDOW,
    BadUpdates,
    any_phase,
    extents,
    restore_where,
    step_on_device_unless,
    step_unless,
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


def noted(bad, phase, step, value=True):
    bad.note(phase, step, torch.tensor(float(value)))


def read(bad, steps_done):
    bad.read(steps_done)
    return bad.steps


def test_steps_are_read_by_phase_in_order_and_by_their_numbers_in_the_run():
    bad = BadUpdates(["discriminator", "generator"], CPU)
    begun = 3 * WINDOW
    for step in (begun + 7, begun, begun + WINDOW - 1):
        noted(bad, "generator", step)
    noted(bad, "discriminator", begun + 1, value=False)
    assert read(bad, begun + WINDOW) == {"generator": [begun, begun + 7, begun + WINDOW - 1]}
    assert read(bad, begun + 8)["generator"][0] == begun  # also before the window's end


def test_a_phase_is_marked_where_any_of_its_repeats_was_bad():
    bad = BadUpdates(["discriminator"], CPU)
    for value in (False, True, False):
        noted(bad, "discriminator", 5, value)
    noted(bad, "discriminator", 6, value=False)
    assert read(bad, 7) == {"discriminator": [5]}


def test_a_window_begins_empty_and_the_count_goes_on():
    bad = BadUpdates(["discriminator", "generator"], CPU)
    for window in range(2):
        noted(bad, "generator", window * WINDOW + 5)
        assert read(bad, window * WINDOW + 6) == {"generator": [window * WINDOW + 5]}
        assert bad.count == window + 1
        bad.end_window()
        assert read(bad, (window + 1) * WINDOW + 1) == {} and bad.count == window + 1


def test_a_window_goes_on_with_the_steps_that_were_saved():
    steps = {"discriminator": [2 * WINDOW + 3], "generator": [2 * WINDOW, 2 * WINDOW + 3]}
    bad = BadUpdates(["discriminator", "generator"], CPU)
    noted(bad, "generator", 5)
    bad.load_state_dict({"skipped": 7, "recently_skipped": steps, "rollbacks": [{"at": 100}]})
    assert bad.count == 9 and read(bad, 2 * WINDOW + 4) == steps and bad.count == 9
    assert bad.state_dict() == {"skipped": 7, "recently_skipped": steps, "rollbacks": [{"at": 100}]}


def test_a_step_with_bad_updates_in_two_phases_counts_once():
    steps = {"discriminator": [1, 9], "generator": [2, 9]}
    assert any_phase(steps) == [1, 2, 9] and any_phase({}) == []


def test_extents_say_how_many_from_which_to_which():
    assert extents({"generator": [3, 4, 90], "encoder": [5]}) == {
        "generator": {"count": 3, "first": 3, "last": 90},
        "encoder": {"count": 1, "first": 5, "last": 5},
    }


@pytest.mark.parametrize(
    ("count", "steps_done", "too_many"),
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
    count, steps_done, too_many
):
    bad = BadUpdates(["generator"], CPU)
    bad.steps = {"generator": list(range(count))}
    assert bad.too_many(steps_done, allowed=10) == too_many


def added(*losses, phase="vae"):
    """A meter's means of these micro-batches."""
    meter = LossMeter(CPU)
    for of_batch in losses:
        meter.add(phase, {name: torch.tensor(value) for name, value in of_batch.items()})
    return means(meter)


def means(meter):
    meter.read()
    return meter.means()


def test_nan_and_infinite_values_do_not_count():
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
    kept = LossMeter(CPU)
    loss = torch.ones((), requires_grad=True) * 2
    kept.add("vae", {"total": loss})
    seen = []
    kept.read(lambda sums: seen.append(sums) or sums)
    assert seen[0].tolist() == [[2.0], [1.0]] and not seen[0].requires_grad
    assert kept.unlogged == {"vae/total": [2.0, 1.0]} and kept.means() == {"vae/total": 2.0} and kept.unlogged == {}
    kept.add("gan", {"total": torch.tensor(7.0)})
    assert means(kept) == {"gan/total": 7.0}


def test_losses_that_a_stop_left_unlogged_are_in_the_next_means_once_for_all_processes():
    processes = [LossMeter(CPU, counts_loaded=rank == 0) for rank in range(2)]
    for kept in processes:
        kept.load_state_dict({"unlogged": {"vae/total": [6.0, 2.0]}})
        kept.add("vae", {"total": torch.tensor(3.0)})
    sums = []
    processes[1].read(lambda mine: sums.append(mine) or mine)
    processes[0].read(lambda mine: mine + sums[0])
    assert processes[0].unlogged == {"vae/total": [12.0, 4.0]} and processes[0].means() == {"vae/total": 3.0}
