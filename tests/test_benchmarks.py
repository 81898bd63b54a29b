"""The guard over the committed figures."""

from __future__ import annotations

from tests.benchmarks.__main__ import falls


def results(**ratios: float) -> dict:
    rows = [{"what": what, "ratio": ratio, "wanted": ">= 1"} for what, ratio in ratios.items()]
    return {"training": {"figures": rows}, "directions": {"figures": ["| a |"]}}


def test_a_ratio_that_fell_far_is_named_and_smaller_falls_are_noise():
    before = results(vae=1.0, gan=2.0, gone=1.0)
    assert falls(before, results(vae=0.84, gan=1.75, new=0.1)) == ["vae: 0.84, was 1.0"]
    assert falls(before, results(vae=0.86, gan=3.0)) == []


def test_seconds_and_memory_are_no_ratios_to_guard():
    before, after = results(memory=2.0), results(memory=1.0)
    for each in (before, after):
        each["training"]["figures"][0]["wanted"] = "<= 3"
    assert falls(before, after) == []
