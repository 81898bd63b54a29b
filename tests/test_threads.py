"""The number of CPU threads follows the load, stays where it is asked for, and is kept with the run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from types import SimpleNamespace

import pytest
import torch

from genlib.config.load import load_config
from genlib.config.training import TrainingConfig
from genlib.errors import UserError
from genlib.evaluation.scoring import processes
from genlib.runs.checkpoints import finished_checkpoints
from genlib.runtime import threads
from genlib.runtime.cores import cores, shares_of_cgroups
from genlib.runtime.threads import PERIOD, Threads, Usage, fitting, usage
from genlib.sampling.draw import CHUNK
from genlib.training.state.threads import ThreadsOfSteps, asked_threads
from tests.conftest import FILES, PROJECT

CPU = torch.device("cpu")


class Machine:
    """A machine whose other programs keep `others` of its cores busy; a second passes at each look at the clock."""

    def __init__(self, cores: int, others: float = 0.0) -> None:
        self.cores, self.others, self.time, self.all, self.own = cores, others, 0.0, 0.0, 0.0

    def pass_time(self, seconds: float, mine: float) -> None:
        self.time += seconds
        self.all += seconds * (self.others + mine)
        self.own += seconds * mine

    def usage(self) -> Usage:
        return Usage(self.cores, self.all, self.own)


@pytest.fixture
def of_machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], tuple[Threads, list[int]]]:
    def make(machine: Machine) -> tuple[Threads, list[int]]:
        monkeypatch.setattr(threads, "cores", lambda: machine.cores)
        applied: list[int] = []
        return Threads(machine.cores, True, machine.usage, lambda: machine.time, applied.append), applied

    return make


@pytest.mark.parametrize(
    ("number", "most", "free", "fits"),
    [
        (2, 2, 2.0, 2),
        (2, 2, 1.6, 2),  # half a core of others leaves it alone
        (2, 2, 1.33, 1),  # a training of one thread that shares two cores with two threads of ours
        (1, 2, 1.0, 1),
        (1, 2, 1.7, 1),
        (1, 2, 1.8, 2),
        (2, 2, -0.5, 1),
        (16, 16, 8.1, 8),
        (8, 16, 15.5, 15),
        (8, 8, 16.0, 8),  # two hardware threads a core: torch's own number is the largest
    ],
)
def test_the_number_is_that_of_free_cores_but_for_small_changes(number, most, free, fits):
    assert fitting(number, most, free) == fits


def test_two_trainings_that_start_together_end_with_half_of_the_cores_each(of_machine):
    machine = Machine(2)
    ours, applied = of_machine(machine)
    for others, mine, number in ((1.0, 1.0, 1), (1.0, 1.0, 1), (0.1, 1.0, 2), (0.0, 1.8, 2)):
        machine.others = others
        machine.pass_time(PERIOD, mine)
        assert ours.follow() == number
    assert applied == [1, 2]


def test_the_load_is_looked_at_once_in_a_period(of_machine):
    machine = Machine(2)
    ours, applied = of_machine(machine)
    machine.others = 2.0
    machine.pass_time(PERIOD / 2, 1.0)
    assert ours.follow() == 2
    machine.pass_time(PERIOD / 2, 1.0)
    assert ours.follow() == 1 and applied == [1]


def test_a_share_of_the_machine_is_used_whole_although_others_use_the_rest(of_machine, monkeypatch):
    machine = Machine(64, others=40.0)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    ours = Threads(4, True, machine.usage, lambda: machine.time, lambda number: None)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    machine.pass_time(PERIOD, 4.0)
    assert ours.follow() == 4


def test_a_fixed_number_holds_whatever_the_load(of_machine):
    machine = Machine(4)
    ours, applied = of_machine(machine)
    ours.fixed = 3
    assert ours.follow() == 3
    machine.others = 4.0
    machine.pass_time(PERIOD, 1.0)
    assert ours.follow() == 3 and applied == [3]
    ours.fixed = None
    machine.pass_time(PERIOD, 1.0)
    assert ours.follow() == 1


def test_usage_grows_by_the_work_of_this_process():
    before = usage()
    x = torch.rand(500, 500)
    while usage().own - before.own < 0.2:
        x @ x
    after = usage()
    assert after.cores == before.cores >= 1
    assert after.all - before.all >= 0.1  # the two are counted in ticks of 10 ms, at other moments


def test_the_share_of_a_container_bounds_the_cores(tmp_path, monkeypatch):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "cpu.max").write_text("150000 100000\n")
    (root / "a" / "b" / "cpu.max").write_text("max 100000\n")
    (root / "cpu,cpuacct" / "c").mkdir(parents=True)
    for name, value in (("quota", 300000), ("period", 100000)):
        (root / "cpu,cpuacct" / "c" / f"cpu.cfs_{name}_us").write_text(f"{value}\n")
        (root / "cpu,cpuacct" / f"cpu.cfs_{name}_us").write_text("-1\n" if name == "quota" else "100000\n")
    (tmp_path / "cgroup").write_text("0::/a/b\n9:memory:/c\n8:cpu,cpuacct:/c\n")
    assert sorted(shares_of_cgroups(tmp_path / "cgroup", root)) == [1.5, 3.0]
    assert shares_of_cgroups(tmp_path / "absent", root) == []
    monkeypatch.setattr("genlib.runtime.cores.shares_of_cgroups", lambda: [0.5])
    assert cores() == 1


def test_the_numbers_of_the_steps_are_kept_and_set_again(of_machine):
    machine = Machine(2)
    kept = ThreadsOfSteps(of_machine(machine)[0])
    kept.begin_step(0)
    machine.others = 2.0
    machine.pass_time(PERIOD, 1.0)
    kept.begin_step(700)
    kept.begin_step(701)
    assert kept.state_dict() == {"threads": [[0, 2], [700, 1]]}
    again = ThreadsOfSteps(of_machine(machine)[0])
    again.load_state_dict(json.loads(json.dumps(kept.state_dict())))
    assert again.changes == [[0, 2], [700, 1]]
    replayed = ThreadsOfSteps(of_machine(Machine(2))[0], [(0, 2), (700, 1)])
    numbers = []
    for step in (0, 699, 700, 900):
        replayed.begin_step(step)
        numbers.append(replayed.threads.number)
    assert numbers == [2, 2, 1, 1] and replayed.changes == [[0, 2], [700, 1]]


def test_compiled_code_and_gpus_keep_their_number_and_a_configuration_may_ask_for_one():
    assert asked_threads(TrainingConfig(), CPU) is None
    now = threads.torch_threads().number
    assert asked_threads(TrainingConfig(compile=True), CPU) == [(0, now)]
    assert asked_threads(TrainingConfig(), torch.device("cuda")) == [(0, now)]
    assert asked_threads(TrainingConfig(threads=3, compile=True), CPU) == [(0, 3)]
    assert asked_threads(TrainingConfig(threads=[[0, 2], [5, 1]]), CPU) == [(0, 2), (5, 1)]


@pytest.mark.parametrize(
    "value", ["0", "many", "[]", "[[1, 2]]", "[[0, 2], [0, 1]]", "[[0, 0]]", "[[0, 1, 2]]", "5000"]
)
def test_what_is_no_number_of_threads_is_refused(value):
    with pytest.raises(
        UserError, match=r"training\.threads.* must be a whole number from 1 to 4096, or pairs of a step"
    ):
        load_config(FILES["vae"], [f"training.threads={value}"])


@pytest.mark.parametrize(("variables", "expected"), [({}, "True"), ({"OMP_NUM_THREADS": "1"}, "False")])
def test_the_number_of_the_environment_stays(variables, expected):
    program = "from genlib.runtime.threads import torch_threads; print(torch_threads().follows)"
    environment = {"PATH": "/usr/bin:/bin", **variables}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (expected if cores() > 1 else "False")


def test_a_training_computes_with_the_numbers_that_it_is_asked_for_and_keeps_them(tiny, command, tmp_path: Path):
    """Asked for in the configuration before the environment's; a run may go on with others."""
    run, often = ("--run-dir", tmp_path / "run"), "training.checkpoint_every=5"
    assert command("genlib", "train", *tiny("gan", often, "training.threads=[[0, 2], [3, 1]]"), *run).returncode == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["threads"] == [[0, 2], [3, 1]]
    *_, earlier, last = finished_checkpoints(tmp_path / "run" / "checkpoints")
    assert earlier.name.endswith("5") and last.name.endswith("10")
    rmtree(last)
    assert command("genlib", "train", *tiny("gan", often, "training.threads=3"), *run).returncode == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["threads"] == [[0, 2], [3, 1], [5, 3]]


def test_an_evaluation_looks_at_the_load_before_each_chunk(monkeypatch):
    looks: list[None] = []
    monkeypatch.setattr(processes, "torch_threads", lambda: SimpleNamespace(follow=lambda: looks.append(None)))
    assert list(processes.Processes(CPU).chunks(2 * CHUNK + 1)) == [0, 1, 2]
    assert len(looks) == 3
