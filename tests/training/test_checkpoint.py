"""Checkpoints: what comes back is what was saved, bit for bit, and what is damaged never comes back."""

import json
import os
import pickle
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from genlib.errors import UserError
from genlib.models.optimizer import OptimizerConfig
from genlib.runs.checkpoints import STATE, checkpoint_path, finished_checkpoints, step_of
from genlib.runtime.threads import Threads
from genlib.storage.files import read_json, sha256_of_file
from genlib.training.phases import build_optimizer
from genlib.training.state.bad_updates import BadUpdates
from genlib.training.state.checkpoint import (
    AVERAGE,
    KEYS,
    METHOD,
    OPTIMIZERS,
    damage_of,
    load_checkpoint,
    newest_until,
    newest_whole,
    note_numbers,
    numbers_of,
    save_checkpoint,
    take_snapshot,
    write_state,
)
from genlib.training.state.clock import Clock
from genlib.training.state.evaluations import Evaluations
from genlib.training.state.meter import LossMeter
from genlib.training.state.optimizers import Optimizers
from genlib.training.state.parts import TrainingState
from genlib.training.state.progress import Progress
from genlib.training.state.sentinel import Sentinel
from genlib.training.state.threads import ThreadsOfSteps

CPU = torch.device("cpu")
NUMBERS = {
    **{"step": 3, "images": 12, "seconds": 1.5, "evaluated": 2, "metric": "fd", "best_step": 2, "best_value": 0.5},
    **{"last_value": 0.75, "skipped": 1, "recently_skipped": {"adam": [1]}, "rollbacks": [{"at": 2}]},
    **{"unlogged": {"adam/total": [6.0, 2.0]}, "signs": {"adam/total": [1, 3]}},
    "threads": [[0, 2], [3, 1]],
}


class Training:
    """A network with buffers and an odd memory layout, its average, an optimizer of each kind, and all numbers."""

    def __init__(self, seed=0, width=2):
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 1, 2))
        self.method = layers.to(memory_format=torch.channels_last)
        self.average = deepcopy(self.method)
        self.optimizers = Optimizers(
            (algorithm, build_optimizer(OptimizerConfig(algorithm=algorithm), list(part.parameters())))
            for algorithm, part in (("adam", self.method[:2]), ("rmsprop", self.method[2:]))
        )
        self.progress, self.evaluations = Progress(), Evaluations()
        bad_updates, meter = BadUpdates(list(self.optimizers), CPU), LossMeter(CPU)
        self.numbers = (
            self.progress,
            Clock(),
            self.evaluations,
            bad_updates,
            meter,
            Sentinel((), 1),
            ThreadsOfSteps(Threads(1, False)),
        )

    def step(self, number):
        torch.manual_seed(number)
        self.method(torch.randn(4, 1, 4, 4)).square().sum().backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad()
        for mean, now in zip(self.average.parameters(), self.method.parameters(), strict=True):
            mean.data.lerp_(now.data, 0.25)

    def state(self):
        """All tensors that are to come back, by name."""
        modules = {"method": self.method.state_dict(), "average": self.average.state_dict()}
        found = {f"{of} {name}": value for of, state in modules.items() for name, value in state.items()}
        for name, optimizer in self.optimizers.items():
            for number, state in optimizer.state_dict()["state"].items():
                found |= {f"{name} {number} {key}": value for key, value in state.items()}
        return {name: value.clone() for name, value in found.items()}

    def snapshot(self, step):
        self.progress.step = step
        return take_snapshot(TrainingState(self.method, self.average, self.optimizers, self.numbers))

    def load(self, checkpoint):
        """The numbers that come back."""
        load_checkpoint(checkpoint, TrainingState(self.method, self.average, self.optimizers, self.numbers), CPU)
        return numbers_of(self.numbers)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


@pytest.fixture
def training():
    training = Training()
    for number in range(3):
        training.step(number)
    return training


@pytest.fixture
def saved(training, tmp_path):
    """The folder with checkpoints of these steps."""

    def save(*steps):
        for step in steps:
            save_checkpoint(tmp_path, training.snapshot(step), keep=len(steps))
        return tmp_path

    return save


def steps_in(folder):
    return [step_of(checkpoint) for checkpoint in finished_checkpoints(folder)]


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)


def test_what_is_loaded_is_what_was_saved_and_trains_on_the_same(training, tmp_path):
    for part in training.numbers:
        part.load_state_dict(deepcopy(NUMBERS))
    checkpoint = save_checkpoint(tmp_path, training.snapshot(3), keep=1)
    other = Training(seed=1)
    assert other.load(checkpoint) == NUMBERS
    assert len(training.state()) == 2 * 9 + 4 * 3 + 2 * 2
    assert_same(other.state(), training.state())
    for number in (3, 4):
        training.step(number)
        other.step(number)
    assert_same(other.state(), training.state())


def test_numbers_that_an_older_version_did_not_save_are_those_of_a_new_run(training, saved):
    checkpoint = checkpoint_path(saved(3), 3)
    write_state(checkpoint, {"step": 3}, read_json(checkpoint / STATE)["sha256"])
    other = Training()
    for part in other.numbers:
        part.load_state_dict(deepcopy(NUMBERS))
    assert other.load(checkpoint) == numbers_of(Training().numbers) | {"step": 3}


def test_each_number_belongs_to_one_part():
    keys = [key for part in Training().numbers for key in part.keys]
    assert sorted(keys) == sorted(KEYS) == sorted(NUMBERS)
    assert all(part.state_dict().keys() == set(part.keys) for part in Training().numbers)


def test_a_checkpoint_from_before_the_first_update_makes_the_optimizers_new_again(training, tmp_path):
    checkpoint = save_checkpoint(tmp_path, Training(seed=1).snapshot(0), keep=1)
    training.load(checkpoint)
    assert_same(training.state(), Training(seed=1).state())


def test_a_learning_rate_of_now_stays_when_an_older_checkpoint_is_loaded(training, saved):
    folder, other = saved(3), Training()
    other.optimizers["adam"].param_groups[0]["lr"] = 0.125
    other.load(checkpoint_path(folder, 3))
    assert other.optimizers["adam"].param_groups[0]["lr"] == 0.125


def test_later_steps_do_not_change_a_snapshot(training, tmp_path):
    before, snapshot = training.state(), training.snapshot(3)
    training.step(3)
    training.method[1].running_mean.zero_()
    other = Training(seed=1)
    other.load(save_checkpoint(tmp_path, snapshot, keep=1))
    assert_same(other.state(), before)


def empty(file):
    file.write_bytes(b"")


def cut_short(file):
    os.truncate(file, file.stat().st_size - 1)


def alter_the_progress(file):
    content = read_json(file)
    content["progress"]["step"] += 1
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("damage", [empty, cut_short, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("name", [METHOD, AVERAGE, OPTIMIZERS, STATE])
def test_a_damaged_newest_one_is_named_and_set_aside_and_the_one_before_it_is_found(saved, name, damage):
    folder, warnings = saved(1, 2), []
    newest = checkpoint_path(folder, 2)
    damage(newest / name)
    left = sorted(file.name for file in newest.iterdir())
    if (damage, name) == (cut_short, STATE):
        cut_short(newest / name)  # what was cut first is the line's end, which JSON does not need
    assert newest_whole(folder, warnings.append) == checkpoint_path(folder, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["damaged-step-00000002", "step-00000001"]
    assert sorted(file.name for file in (folder / "damaged-step-00000002").iterdir()) == left
    (warning,) = warnings
    assert str(newest) in warning and name in warning and "set aside as damaged-step-00000002" in warning


def test_an_altered_progress_is_damage(saved):
    folder, warnings = saved(1, 2), []
    alter_the_progress(checkpoint_path(folder, 2) / STATE)
    assert newest_whole(folder, warnings.append) == checkpoint_path(folder, 1)
    assert "state.json has changed since it was written" in warnings[0]


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"checksum": 1, "progress": {"step": NaN}}'])
def test_json_that_describes_no_checkpoint_is_damage(saved, content):
    checkpoint = checkpoint_path(saved(1), 1)
    (checkpoint / STATE).write_text(content)
    assert "state.json" in (damage_of(checkpoint) or "")


def test_progress_of_another_version_is_damage(saved):
    checkpoint = checkpoint_path(saved(1), 1)
    content = read_json(checkpoint / STATE)
    write_state(checkpoint, content["progress"] | {"phase_of_the_moon": 1}, content["sha256"])
    assert "phase_of_the_moon, which this version of genlib does not know" in (damage_of(checkpoint) or "")


def test_none_is_found_where_all_are_damaged_or_there_is_no_folder(saved, tmp_path):
    folder, warnings = saved(1, 2), []
    for step in (1, 2):
        flip_a_bit(checkpoint_path(folder, step) / METHOD)
    assert newest_whole(folder, warnings.append) is None
    assert len(warnings) == 2
    assert newest_whole(folder / "absent", warnings.append) is None
    assert len(warnings) == 2


def test_the_same_step_damaged_again_and_again_is_kept_each_time(saved):
    for _ in range(3):
        folder = saved(1)
        flip_a_bit(checkpoint_path(folder, 1) / METHOD)
        newest_whole(folder, lambda _: None)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["damaged-step-00000001", "damaged-step-00000001.2", "damaged-step-00000001.3"]


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", [METHOD, AVERAGE, OPTIMIZERS])
@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_pickle_is_refused_and_never_run_even_where_its_checksum_is_right(training, saved, name, write):
    folder = saved(3)
    checkpoint, sprung = checkpoint_path(folder, 3), folder / "sprung"
    with (checkpoint / name).open("wb") as file:
        write(Trap(sprung), file)
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap works
    sprung.unlink()
    state = read_json(checkpoint / STATE)
    write_state(checkpoint, state["progress"], state["sha256"] | {name: sha256_of_file(checkpoint / name)})
    assert damage_of(checkpoint) is None
    with pytest.raises(UserError):
        Training().load(checkpoint)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("keep", "last_good", "left"),
    [(1, 0, [8]), (3, 0, [4, 6, 8]), (9, 0, [2, 4, 6, 8]), (1, 5, [4, 8]), (2, 2, [2, 6, 8]), (2, 8, [6, 8])],
)
def test_pruning_leaves_the_newest_and_the_newest_that_is_known_to_be_good(training, saved, keep, last_good, left):
    folder = saved(2, 4, 6)
    save_checkpoint(folder, training.snapshot(8), keep, last_good)
    assert steps_in(folder) == left
    assert len(list(folder.iterdir())) == len(left)  # and no traces


def test_a_return_to_an_earlier_step_removes_what_came_later(saved):
    folder = saved(2, 4, 6, 8)
    assert newest_until(folder, 5, pytest.fail) == checkpoint_path(folder, 4)
    assert steps_in(folder) == [2, 4]
    assert newest_until(folder, 4, pytest.fail) == checkpoint_path(folder, 4)
    assert newest_until(folder, 1, pytest.fail) is None


def test_the_same_step_is_saved_again_in_place_of_the_former_one(training, saved):
    folder = saved(3)
    training.step(3)
    other = Training(seed=1)
    other.load(save_checkpoint(folder, training.snapshot(3), keep=1))
    assert_same(other.state(), training.state())


def test_what_becomes_known_later_is_noted_and_the_checkpoint_stays_whole(training, saved):
    checkpoint = checkpoint_path(saved(3), 3)
    training.evaluations.best_value = 0.5
    note_numbers(checkpoint, training.numbers)
    assert damage_of(checkpoint) is None
    found = Training().load(checkpoint)
    assert (found["step"], found["best_value"]) == (3, 0.5)


def test_a_half_written_one_is_not_found_and_does_not_stand_in_the_way(training, saved):
    folder = saved(1)
    (folder / ".step-00000002.partial").mkdir()
    (folder / ".step-00000002.partial" / METHOD).write_bytes(b"half of")
    assert newest_whole(folder, pytest.fail) == checkpoint_path(folder, 1)
    save_checkpoint(folder, training.snapshot(2), keep=1)
    assert [path.name for path in folder.iterdir()] == ["step-00000002"]


def test_a_full_disk_leaves_the_former_one_whole_and_nothing_half_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs rights that this user has not")
    try:
        small, large = Training(), Training(width=10_000)  # its average no longer fits
        first = save_checkpoint(disk, small.snapshot(1), keep=1)
        for step in (1, 2):  # in place of it, and beside it
            with pytest.raises(OSError, match="No space left"):
                save_checkpoint(disk, large.snapshot(step), keep=1)
            large.step(step)
            assert [path.name for path in disk.iterdir()] == ["step-00000001"]
            assert damage_of(first) is None
        other = Training(seed=1)
        assert other.load(first)["step"] == 1
        assert_same(other.state(), small.state())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
