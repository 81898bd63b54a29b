"""The figures of a benchmark, and how they are guarded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.__main__ import falls, strays
from tests.benchmarks.alternate import Timed, row
from tests.benchmarks.families import FAMILIES, genlib_loop
from tests.benchmarks.loops import bare_loop


def results(ratio: float, spread: list[float], wanted: str = ">= 0.97") -> dict[str, Any]:
    return {"training": {"commit": "a", "figures": [{"what": "it", "ratio": ratio, "range": spread, "wanted": wanted}]}}


def test_a_row_has_the_median_of_the_ratios_and_where_all_of_them_lie() -> None:
    ours, theirs = Timed([1.0] * 21, 0), Timed([float(second) for second in range(21)], 0)
    found = row("it", theirs, ours, "> 1")
    assert found["ratio"] == 10 and found["range"] == [0, 20]
    assert found["milliseconds_a_step"] == [1000, 10000]


def test_a_fall_is_named_where_the_ratio_must_be_high() -> None:
    assert falls(results(1.0, []), results(0.84, [])) == ["it: 0.84, was 1.0"]
    assert falls(results(1.0, []), results(0.86, [])) == []
    assert falls(results(1.0, [], wanted="<= 1"), results(0.5, [], wanted="<= 1")) == []


def test_a_figure_outside_of_the_spread_is_named() -> None:
    before = results(1.0, [0.9, 1.1])
    assert strays(before, results(1.05, [1.0, 1.2])) == []
    assert strays(before, results(1.2, [1.1, 1.3])) == ["it: 1.2, was 0.9 to 1.1"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loops_that_are_compared_train(family: str) -> None:
    loop = genlib_loop(family)
    loop(1)
    assert loop.trainer.progress.step == 1
    assert all(phase.has_turn(10**6) for phase in loop.trainer.phases)
    bare_loop(family)(1)
