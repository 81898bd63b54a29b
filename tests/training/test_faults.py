"""What happens to real processes at night, done to them: afterwards the run is the undisturbed one, nothing is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from genlib.runs.checkpoints import finished_checkpoints
from genlib.runs.folder import RunFolder
from genlib.storage.files import sha256_of_file
from tests.conftest import FILES, PROJECT, TINY

STEPS = 300
SETTINGS = [
    *("training.batch_size=16", f"training.steps={STEPS}", "evaluation.every=null", "training.micro_batches=2"),
    *("training.checkpoint_every=20", "training.log_every=5", "training.sample_every=150", "training.device=cpu"),
    *("training.ema_half_life=100", "training.timeout=30"),
]
SINGLE: list[str] = []
PAIR = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
PAIR += ["--signals-to-handle", "SIGTERM,SIGINT,SIGHUP,SIGUSR1", "-m"]
random_steps = random.Random(20261123)

pytestmark = [pytest.mark.slow(minutes=5), pytest.mark.long]


def arguments(method: str, *overrides: str) -> list[str]:
    settings = [*TINY[method], *SETTINGS, *overrides]
    return ["train", str(FILES[method]), *(word for setting in settings for word in ("--set", setting))]


def command(launcher: list[str], faults: list[str], words: list[str], run_dir: Path) -> list[str]:
    program = ["tests.faulty", *faults, "--"] if faults else ["genlib"]
    return [sys.executable, "-m", *launcher, *program, *words, "--run-dir", str(run_dir)]


class Training:
    """One in the background; whatever is left of it in the end is a failure of the test."""

    def __init__(self, run_dir: Path, launcher: list[str], faults: list[str], words: list[str]) -> None:
        environment = os.environ | {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "4"}
        self.run_dir = run_dir
        self.process = subprocess.Popen(
            command(launcher, faults, words, run_dir),
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def until(self, step: int) -> None:
        """Read on to the first line of this step or a later one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if line.startswith("step ") and int(line.split("/")[0].removeprefix("step ")) >= step:
                return
        raise AssertionError(f"it ended before step {step}:\n{self.output}")

    def workers(self) -> list[psutil.Process]:
        """The processes that train, by rank."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        ranks = {int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()}
        return [ranks[rank] for rank in sorted(ranks)]

    def end(self, within: float = 120) -> int:
        self.output += self.process.communicate(timeout=within)[0]
        return self.process.returncode


@pytest.fixture
def start(genlib_home: Path) -> Iterator[Callable[..., Training]]:
    begun: list[Training] = []

    def start(run_dir: Path, words: list[str], *faults: str, launcher: list[str] = SINGLE) -> Training:
        begun.append(Training(run_dir, launcher, list(faults), words))
        return begun[-1]

    yield start
    for training in begun:
        left = of_run(training.run_dir)
        for process in left:
            process.kill()
        training.process.wait()
        assert not left, f"left behind: {left}"


def of_run(run_dir: Path) -> list[psutil.Process]:
    """Processes that name the run folder, once those that are ending have had a moment."""
    for _ in range(50):
        named = [each for each in psutil.process_iter(["cmdline"]) if str(run_dir) in (each.info["cmdline"] or [])]
        alive = [each for each in named if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        if not alive:
            return []
        time.sleep(0.1)
    return alive


def weights(run_dir: Path) -> str:
    return sha256_of_file(RunFolder(run_dir).sampler / "weights.safetensors")


@pytest.fixture(scope="module")
def undisturbed(genlib_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The run folder of a method, trained by "one" process or by "two" without trouble; made once."""
    made: dict[tuple[str, str], Path] = {}

    def undisturbed(method: str, processes: str) -> Path:
        if (method, processes) not in made:
            folder = tmp_path_factory.mktemp(f"{method}-{processes}") / "run"
            launcher = PAIR if processes == "two" else SINGLE
            done = subprocess.run(
                command(launcher, [], arguments(method), folder), cwd=PROJECT, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            made[method, processes] = folder
        return made[method, processes]

    return undisturbed


def as_if_nothing_had_been(run_dir: Path, whole: Path) -> None:
    assert RunFolder(run_dir).result()["status"] == "finished"
    assert weights(run_dir) == weights(whole)
    ours, theirs = (RunFolder(path).metrics() for path in (run_dir, whole))
    assert [line["step"] for line in ours] == [line["step"] for line in theirs] == list(range(5, STEPS + 1, 5))
    for line, whole_line in zip(ours, theirs, strict=True):
        for name in [name for name in whole_line if "/" in name]:
            assert line[name] == pytest.approx(whole_line[name], rel=1e-4, abs=1e-6), (name, line["step"])


@pytest.mark.parametrize("method", ["vae", "gan"])
def test_one_process_killed_at_random_and_while_it_saves_a_checkpoint(method, start, undisturbed, tmp_path):
    run_dir, words = tmp_path / "run", arguments(method)
    training = start(run_dir, words)
    training.until(random_steps.randrange(20, 150))
    training.process.send_signal(signal.SIGKILL)
    assert training.end() == -signal.SIGKILL
    training = start(run_dir, words, "kill-in-checkpoint:4")
    assert training.end() == -signal.SIGKILL
    assert len(finished_checkpoints(RunFolder(run_dir).checkpoints)) == 2
    last = start(run_dir, words)
    assert last.end() == 0 and "from step " in last.output
    as_if_nothing_had_been(run_dir, undisturbed(method, "one"))


def test_two_processes_whose_terminal_is_closed_then_one_killed_then_their_launcher(start, undisturbed, tmp_path):
    run_dir, words = tmp_path / "run", arguments("gan")
    training = start(run_dir, words, "slow:0.01", launcher=PAIR)
    training.until(30)
    training.process.send_signal(signal.SIGHUP)
    training.end()
    stopped = RunFolder(run_dir).result()
    assert stopped["status"] == "preempted" and 30 <= stopped["step"] < STEPS

    training = start(run_dir, words, "slow:0.01", launcher=PAIR)
    training.until(stopped["step"] + 30)
    begun = time.monotonic()
    training.workers()[random_steps.randrange(2)].kill()
    assert training.end() != 0
    assert time.monotonic() - begun < 60
    assert not of_run(run_dir)

    training = start(run_dir, words, "slow:0.01", launcher=PAIR)
    training.until(stopped["step"] + 60)
    training.process.send_signal(signal.SIGKILL)  # the launcher: its processes save a checkpoint and end
    training.process.wait()
    assert not of_run(run_dir)
    assert RunFolder(run_dir).result()["status"] == "preempted"

    last = start(run_dir, words, launcher=PAIR)
    assert last.end() == 0
    as_if_nothing_had_been(run_dir, undisturbed("gan", "two"))


def test_a_nan_in_one_process_of_two_leaves_the_update_out_on_both(start, tmp_path):
    words = arguments("gan", "training.steps=60")
    one = start(tmp_path / "one", words, "nan-in-rank:1:discriminator:20:22", launcher=PAIR)
    assert one.end() == 0, one.output
    result = RunFolder(tmp_path / "one").result()
    assert (result["status"], result["skipped_steps"], result["rollbacks"]) == ("finished", 3, [])
    all_of_them = start(tmp_path / "all", words, "nan:discriminator:20:22")
    assert all_of_them.end() == 0
    lines = [RunFolder(tmp_path / name).metrics()[-1] for name in ("one", "all")]
    totals = [(line["discriminator/total"], line["generator/total"]) for line in lines]
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)


def test_a_process_that_hangs_is_waited_for_no_longer_than_the_timeout(start, tmp_path):
    words = arguments("vae", "training.timeout=5")
    training = start(tmp_path / "run", words, "hang-in-rank:1:25", launcher=PAIR)
    training.until(25)
    begun = time.monotonic()
    assert training.end(within=60) != 0
    assert time.monotonic() - begun < 60
    message = RunFolder(tmp_path / "run").result()["message"]
    assert "did not answer within training.timeout (5 s), at step 2" in message and "--run-dir" in message


def test_begun_by_one_process_a_run_goes_on_with_two_and_says_what_changes(start, tmp_path):
    words = arguments("vae", "training.steps=60", "training.micro_batches=null")
    first = start(tmp_path / "run", words, "slow:0.02")
    first.until(20)
    first.process.send_signal(signal.SIGTERM)
    first.end()
    second = start(tmp_path / "run", words, launcher=PAIR)
    assert second.end() == 0, second.output
    assert "cut into 2 micro-batches instead of 1" in second.output
    assert RunFolder(tmp_path / "run").result()["processes"] == 2


def test_too_many_bad_steps_lead_back_to_a_checkpoint_and_again_and_again_to_the_end(start, tmp_path):
    words = arguments("vae", "training.steps=250", "training.rollback_learning_rate=0.5")
    once = start(tmp_path / "once", words, "nan:vae:110:125")
    assert once.end() == 0, once.output
    result = RunFolder(tmp_path / "once").result()
    (rollback,) = result["rollbacks"]
    assert rollback == {"at": 200, "back_to": 100, "skipped_steps": {"vae": {"count": 16, "first": 110, "last": 125}}}
    assert result["skipped_steps"] == 16 and "back to the checkpoint of step 100" in once.output
    assert [line["step"] for line in RunFolder(tmp_path / "once").metrics()] == list(range(5, 251, 5))

    cut = start(tmp_path / "cut", words, "nan:vae:110:125", "slow:0.005")
    cut.until(215)
    while "back to the checkpoint" not in cut.output:
        cut.until(195)
    cut.process.send_signal(signal.SIGKILL)
    cut.end()
    assert start(tmp_path / "cut", words).end() == 0
    assert weights(tmp_path / "cut") == weights(tmp_path / "once")

    hopeless = start(tmp_path / "hopeless", [*words, "--set", "method.optimizer.learning_rate=100"])
    assert hopeless.end() == 1
    result = RunFolder(tmp_path / "hopeless").result()
    assert result["status"] == "diverged" and len(result["rollbacks"]) == 3
    assert (
        "NaN or infinite loss or gradient, in phase vae again, after 3 rollbacks; lower the learning rate"
        in result["message"]
    )
    assert "Traceback" not in hopeless.output


def test_a_full_disk_costs_checkpoints_and_not_the_training(start, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs rights that this user has not")
    try:
        run_dir, words = disk / "run", arguments("vae")
        training = start(run_dir, words, "slow:0.01")
        training.until(60)
        with (disk / "full").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while file.write(bytes(4096)):
                pass
        training.until(120)
        (disk / "full").unlink()
        assert training.end() == 0, training.output
        assert "could not be written (No space left on device); training goes on" in training.output
        as_if_nothing_had_been(run_dir, undisturbed("vae", "one"))
        assert len(finished_checkpoints(RunFolder(run_dir).checkpoints)) == 2
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_second_process_on_a_run_folder_is_refused_with_the_owner(start, tmp_path):
    first = start(tmp_path / "run", arguments("vae"), "slow:0.02")
    first.until(5)
    second = subprocess.run(
        command(SINGLE, [], arguments("vae"), tmp_path / "run"), cwd=PROJECT, capture_output=True, text=True
    )
    assert second.returncode == 2
    assert f"is in use: process {first.process.pid} on " in second.stderr and second.stderr.count("\n") == 1
    first.process.send_signal(signal.SIGKILL)
    first.end()
    assert start(tmp_path / "run", arguments("vae", "training.log_every=300")).end() == 0


def test_a_dataset_that_changes_or_vanishes_under_a_run_is_found(start, genlib_home, tmp_path):
    words = [*arguments("vae", "training.steps=200", "training.sample_every=200"), "--set", "data.test_fraction=0.3"]
    changing = start(tmp_path / "changing", words, "slow:0.01")
    changing.until(20)
    name = RunFolder(tmp_path / "changing").path.joinpath("dataset.json").read_text().split('"')[3]
    folder = genlib_home / "data" / name
    images = folder / "train_images.npy"
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert changing.end() == 2
    assert "has changed since it was made (content hash" in changing.output
    images.write_bytes(content)
    vanishing = start(tmp_path / "vanishing", words, "slow:0.01")
    vanishing.until(20)
    folder.rename(folder.with_name("elsewhere"))
    assert vanishing.end() == 1
    assert "has vanished at step 200" in vanishing.output and "Traceback" not in vanishing.output
    assert start(tmp_path / "vanishing", words).end() == 0  # prepared anew
