"""The record of evaluations during training: which step is the best, and what is said of it at the end."""

from __future__ import annotations

import pytest

from genlib.training.state.evaluations import Evaluations


def noted(*values, lower=True, metric="fd"):
    """The record of values at steps 10, 20, ...; a better one becomes the best, as where its checkpoint is kept."""
    record = Evaluations()
    for step, value in enumerate(values, 1):
        if record.note(10 * step, metric, value, lower):
            record.best_step, record.best_value = 10 * step, value
    return record


@pytest.mark.parametrize(("lower", "best"), [(True, 20), (False, 30)])
def test_the_best_is_the_first_of_the_lowest_or_highest_values(lower, best):
    assert noted(3.0, 1.0, 5.0, 1.0, 5.0, lower=lower).best_step == best


def test_a_step_without_a_value_is_evaluated_and_never_the_best():
    record = noted(None, 2.0, None)
    assert (record.best_step, record.best_value) == (20, 2.0)
    assert (record.evaluated, record.last_value) == (30, None)
    assert record.include(30, "fd") and not record.include(20, "fd")


def test_another_metric_begins_anew():
    record = noted(1.0)
    assert not record.include(10, "recall")
    assert record.note(10, "recall", 0.1, lower_is_better=False)
    assert record.include(10, "recall") and record.best_value is None


def test_a_remark_is_made_where_the_best_is_far_ahead_of_the_last_alone():
    assert noted().remark() is None and noted(1.0, None).remark() is None
    assert noted(1.0, 1.1).remark() is None and noted(1.0, 0.5).remark() is None
    remark = noted(1.0, 1.2).remark()
    assert remark.startswith("the best fd during training, 1 at step 10, is far better than the last, 1.2 at step 20;")


def test_it_comes_back_as_it_was_saved():
    record, other = noted(3.0, 1.0, 2.0), noted(7.0, metric="recall")
    other.load_state_dict(record.state_dict() | {"step": 99})
    assert other == record
    other.load_state_dict({})
    assert other == Evaluations()
