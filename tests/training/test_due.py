"""What is due after a step: every combination of a small training, against the rules written one by one."""

from __future__ import annotations

from itertools import product

import pytest

from genlib.config.training import TrainingConfig
from genlib.training.due import Due, due_after
from genlib.training.state.bad_updates import WINDOW

NOTHING = Due(judge=False, log=False, show=False, save=False, evaluate=False, stop=False)


def training(steps=1000, log=50, show=200, save=400):
    return TrainingConfig(steps=steps, log_every=log, sample_every=show, checkpoint_every=save)


def names(due):
    return {name for name, is_due in due._asdict().items() if is_due}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (1, set()),
        (50, {"log"}),
        (100, {"judge", "log"}),
        (120, {"log", "evaluate"}),
        (200, {"judge", "log", "show"}),
        (400, {"judge", "log", "show", "save"}),
        (1000, {"judge", "log", "show", "save", "evaluate"}),
    ],
)
def test_a_training_from_its_first_step_to_its_last(step, expected):
    assert names(due_after(step, training(), evaluate_every=120)) == expected


def test_the_last_step_has_all_of_it_whatever_divides_it():
    due = due_after(997, training(steps=997), evaluate_every=120)
    assert names(due) == {"judge", "log", "show", "save", "evaluate"}


def test_a_stop_saves_a_checkpoint_and_leaves_an_evaluation_for_the_next_start():
    assert due_after(7, training(), stopped=True) == NOTHING._replace(save=True, stop=True)
    assert names(due_after(120, training(), evaluate_every=120, stopped=True)) == {"log", "save", "stop"}


def test_a_stop_at_the_last_step_comes_too_late_unless_an_evaluation_is_left():
    assert not due_after(1000, training(), stopped=True).stop
    assert not due_after(1000, training(), evaluate_every=120, evaluated=True, stopped=True).stop
    assert due_after(1000, training(), evaluate_every=120, stopped=True).stop


def test_every_combination_agrees_with_the_rules():
    stepped = (1, 2, 3, 5, 6, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW)
    intervals = (1, 2, 3, WINDOW)
    for steps, log, show, save in product((1, 6, WINDOW, 2 * WINDOW), intervals, intervals, intervals):
        settings = training(steps, log, show, save)
        for step, every, evaluated, stopped in product(
            [step for step in stepped if step <= steps], (None, 1, 2, WINDOW), (False, True), (False, True)
        ):
            due = due_after(step, settings, every, evaluated, stopped)
            last = step == steps
            left = every is not None and not evaluated and (last or step % every == 0)
            assert due.judge == (last or step % WINDOW == 0)
            assert due.show == (last or step % show == 0)
            assert due.save == (last or stopped or step % save == 0)
            assert due.evaluate == (left and not stopped)
            assert due.log == (last or left or step % save == 0 or step % log == 0)
            assert due.stop == (stopped and (left or not last))
            # What the loop relies on:
            assert not (due.evaluate and due.stop)
            assert due.log or not due.evaluate  # the losses are logged together with the evaluation
            assert due.log or not due.save or due.stop  # only the checkpoint of a stop holds losses to be logged
