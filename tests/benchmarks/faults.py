"""What being ready for faults costs, and whether a training that is killed again and again ends as if it were not."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from accelerate import Accelerator
from torch import Tensor

from genlib.config.load import load_config
from genlib.data.making.prepare import prepare
from genlib.runs.folder import RunFolder
from genlib.storage.files import sha256_of_file
from genlib.training import phases, trainer
from genlib.training.state.bad_updates import BadUpdates
from genlib.training.trainer import Trainer
from tests.benchmarks.commands import PROJECT, own_home, row

KILLS, SEED = 30, 20261123
NEVER = 10**9


def measure_faults() -> list[dict[str, Any]]:
    return measure_costs() + [soak(name) for name in ("vae_digits", "dcgan_digits")]


@contextmanager
def dcgan_digits() -> Iterator[Trainer]:
    """A training that has begun, and writes nothing by itself."""
    overrides = [f"training.checkpoint_every={NEVER}", f"training.sample_every={NEVER}", "evaluation.every=null"]
    config = load_config(PROJECT / "configs" / "dcgan_digits.yaml", overrides)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(folder)
        run.make()
        training = Trainer(config, run, prepare(config.data), Accelerator(cpu=True), warn=print)
        yield training
        training.writer.wait()


def block(training: Trainer, steps: int, save: bool = False) -> float:
    """Seconds of so many steps, with a checkpoint at their beginning."""
    began = time.perf_counter()
    if save:
        training._save()
    for _ in range(steps):
        training.take_step(training.progress.step)
        training.progress.step += 1
    return time.perf_counter() - began


@contextmanager
def unguarded(training: Trainer) -> Iterator[None]:
    """Without the look at gradients and losses, and without what a bad step would have to restore."""

    def update(self: phases.ActivePhase) -> tuple[Tensor, None]:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return NOTHING, None

    def backward(self: phases.ActivePhase, batch: Any, share: float) -> Any:
        losses = self.wrapped(batch)
        self.accelerator.backward(losses["total"] if share == 1 else losses["total"] * share)
        return losses

    with (
        mock.patch.object(phases.ActivePhase, "update", update),
        mock.patch.object(phases.ActivePhase, "_backward", backward),
        mock.patch.object(trainer, "restore_where", lambda *_: None),
        mock.patch.object(BadUpdates, "note", lambda *_: None),
        mock.patch.object(training, "buffers", []),
    ):
        yield


NOTHING = torch.zeros(())


def measure_costs(saves: int = 13, steps: int = 200, blocks: int = 500) -> list[dict[str, Any]]:
    """Ratios of neighbouring blocks of steps, either first; each is a moment's work, so that noise evens out."""
    with own_home() as home, mock.patch.dict(os.environ, {"GENLIB_HOME": str(home)}), dcgan_digits() as training:
        block(training, steps // 2)  # warm-up
        saving, guarded = [], []
        for first in [False, True] * saves:
            seconds = {save: block(training, steps, save) for save in (first, not first)}
            saving.append(seconds[False] / seconds[True])
        for first in [False, True] * blocks:
            for guard in (first, not first):
                with nullcontext() if guard else unguarded(training):
                    seconds[guard] = block(training, 4)
            guarded.append(seconds[False] / seconds[True])
            training.meter.clear()
    spread = [statistics.quantiles(of, n=4) for of in (saving, guarded)]  # the middle half
    return [
        row("dcgan_digits: a checkpoint every 200 steps / none", statistics.median(saving), ">= 0.97", spread[0]),
        row("dcgan_digits: with the finite check / without", statistics.median(guarded), ">= 0.99", spread[1]),
    ]


def soak(name: str) -> dict[str, Any]:
    """Kill a training KILLS times at random steps; whether its sampler has the bits of one that was left alone."""
    draw = random.Random(SEED)
    with own_home() as home:
        environment = os.environ | {"GENLIB_HOME": str(home), "OMP_NUM_THREADS": "1"}
        few = ["training.log_every=10", "training.checkpoint_every=40", "evaluation.every=null"]
        words = [word for setting in few for word in ("--set", setting)]
        command = [sys.executable, "-m", "genlib", "train", f"configs/{name}.yaml", *words, "--run-dir"]
        subprocess.run([*command, str(home / "whole")], cwd=PROJECT, env=environment, check=True, capture_output=True)
        steps = RunFolder(home / "whole").result()["step"]
        for _ in range(KILLS):
            killed_after([*command, str(home / "killed")], environment, draw.randrange(1, 2 * steps // (KILLS + 5)))
        subprocess.run([*command, str(home / "killed")], cwd=PROJECT, env=environment, check=True, capture_output=True)
        hashes = [sha256_of_file(home / run / "sampler" / "weights.safetensors") for run in ("whole", "killed")]
        logged = [line["step"] for line in RunFolder(home / "killed").metrics()]
        same = hashes[0] == hashes[1] and logged == sorted(set(logged))
    return row(f"{name}: killed {KILLS} times, the same bits and each step once (1: yes)", float(same), "1")


def killed_after(command: list[str], environment: dict[str, str], steps: int) -> None:
    """SIGKILL a moment after a training has come so many steps further than it began."""
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = None
    for line in process.stdout:
        if line.startswith("step "):
            step = int(line.split("/")[0].removeprefix("step "))
            first = step if first is None else first
            if step >= first + steps:
                break
    time.sleep(random.random() / 50)
    process.send_signal(signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    print(*measure_faults(), sep="\n")
