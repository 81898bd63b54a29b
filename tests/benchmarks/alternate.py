"""Loops that are compared: each in a process of its own, as a user would start it, and in turn."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

Loop = Callable[[int], None]  # trains so many steps
Make = Callable[[], Loop]  # what can be pickled: a function of a module, or a partial of one
Row = dict[str, Any]
REPEATS = 2  # sets of processes: where a process's memory lies, and what it had trained, moves its speed for all rounds
ROUNDS = 9  # of each set
CHUNK = 0.4  # seconds of one loop's turn: the machine's speed must not change between those of a round
WARM = 5.0  # seconds of training before the first turn: a speed that lasts, after averages have become denormal numbers


class Timed(NamedTuple):
    """Of one loop."""

    seconds: list[float]  # a step, round by round
    peak_memory: int  # of its process, bytes


class Elsewhere:
    """A loop in a process of its own; its seconds for a step."""

    def __init__(self, make: Make) -> None:
        context = multiprocessing.get_context("spawn")  # nothing of this process goes along
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(make, theirs))
        self.process.start()
        theirs.close()

    def __call__(self, steps: int) -> float:
        self.pipe.send(steps)
        return self.pipe.recv()

    def close(self) -> int:
        """The process's peak memory."""
        self.pipe.send(0)
        peak = self.pipe.recv()
        self.process.join()
        return peak

    def kill(self) -> None:
        self.process.kill()


def serve(make: Make, pipe: Connection) -> None:
    """In the loop's process. One step that does not count comes before several that do, to wake threads and caches."""
    loop = make()
    while steps := pipe.recv():
        if steps > 1:
            loop(1)
        began = time.perf_counter()
        loop(steps)
        pipe.send((time.perf_counter() - began) / steps)
    pipe.send(peak_memory())


def alternate(
    makers: Mapping[str, Make], repeats: int = REPEATS, rounds: int = ROUNDS, warm: float = WARM
) -> dict[str, Timed]:
    """Of each loop, by name; all take as many steps in a round."""
    sets = [alternate_once(makers, rounds, warm) for _ in range(repeats)]
    return {
        name: Timed(
            [second for one in sets for second in one[name].seconds], max(one[name].peak_memory for one in sets)
        )
        for name in makers
    }


def alternate_once(makers: Mapping[str, Make], rounds: int, warm: float) -> dict[str, Timed]:
    """By one set of processes."""
    with ExitStack() as stack:
        loops = {}
        for name, make in makers.items():
            loops[name] = Elsewhere(make)
            stack.callback(loops[name].kill)
            loops[name](2)  # also compiles, while no other does
        pace = min(loop(3) for loop in loops.values())
        for loop in loops.values():
            loop(max(1, round(warm / pace)))
        steps = max(1, round(CHUNK / pace))
        found: dict[str, list[float]] = {name: [] for name in loops}
        for turn in range(rounds):
            for name in sorted(loops, reverse=turn % 2 == 1):  # none is always the first
                found[name].append(loops[name](steps))
        return {name: Timed(found[name], loop.close()) for name, loop in loops.items()}


def row(what: str, theirs: Timed, ours: Timed, wanted: str) -> Row:
    """How many times faster ours is, by their seconds a step: the median, and where all rounds lie."""
    ratios = [a / b for a, b in zip(theirs.seconds, ours.seconds, strict=True)]
    return {
        "what": what,
        "ratio": round(statistics.median(ratios), 3),
        "range": [round(bound, 3) for bound in (min(ratios), max(ratios))],
        "wanted": wanted,
        "milliseconds_a_step": [round(1000 * statistics.median(timed.seconds), 3) for timed in (ours, theirs)],
    }


def memory_row(what: str, timed: Timed) -> Row:
    return {"what": what, "ratio": round(timed.peak_memory / 1e9, 3), "range": [], "wanted": ""}


def peak_memory() -> int:
    """Of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
