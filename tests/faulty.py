"""`python -m tests.faulty FAULT... -- ARGUMENTS` is `python -m genlib ARGUMENTS` in which something goes wrong.

kill-in-checkpoint:N   SIGKILL while the Nth checkpoint is being written
nan:PHASE:FIRST:LAST   a loss of NaN in these steps (from 0), until the run has gone back once
nan-in-rank:R:...      the same in one process only
hang-in-rank:R:STEP    that process sleeps for ever in this step
slow:SECONDS           each step takes longer by so much
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from genlib.cli import main
from genlib.models.base import Batch, Losses
from genlib.training import trainer
from genlib.training.state import checkpoint

RANK = int(os.environ.get("RANK", "0"))


def before_each_step(do: Callable[[trainer.Trainer, int], None]) -> None:
    step = trainer.Trainer.take_step

    def wrapped(self: trainer.Trainer, number: int) -> None:
        do(self, number)
        step(self, number)

    trainer.Trainer.take_step = wrapped  # type: ignore[method-assign]


def kill_in_checkpoint(number: str) -> None:
    write, written = checkpoint.write_tensors, []

    def wrapped(file: Any, tensors: Any) -> str:
        written.append(file)
        if len(written) == 3 * int(number) - 1:  # three files each
            file.write_bytes(b"half of it")
            os.kill(os.getpid(), signal.SIGKILL)
        return write(file, tensors)

    checkpoint.write_tensors = wrapped


def nan(phase: str, first: str, last: str) -> None:
    def spoil(self: trainer.Trainer, number: int) -> None:
        spoilt = int(first) <= number <= int(last) and not self.bad_updates.rollbacks
        for active in self.phases:
            loss = active.wrapped.module if hasattr(active.wrapped, "module") else active.wrapped
            if active.phase.name == phase:
                right = getattr(loss, "_right_loss", loss._loss)
                loss._right_loss = right
                loss._loss = partial(spoilt_loss, right) if spoilt else right

    before_each_step(spoil)


def spoilt_loss(loss: Callable[..., Losses], batch: Batch) -> Losses:
    return {name: value * torch.nan if value.dim() == 0 else value for name, value in loss(batch).items()}


def nan_in_rank(rank: str, phase: str, first: str, last: str) -> None:
    if int(rank) == RANK:
        nan(phase, first, last)


def hang_in_rank(rank: str, step: str) -> None:
    def hang(self: trainer.Trainer, number: int) -> None:
        if int(rank) == RANK and number == int(step):
            time.sleep(3600)

    before_each_step(hang)


def slow(seconds: str) -> None:
    before_each_step(lambda self, number: time.sleep(float(seconds)))


FAULTS: dict[str, Callable[..., None]] = {
    "kill-in-checkpoint": kill_in_checkpoint,
    "nan": nan,
    "nan-in-rank": nan_in_rank,
    "hang-in-rank": hang_in_rank,
    "slow": slow,
}

if __name__ == "__main__":
    border = sys.argv.index("--")
    for fault in sys.argv[1:border]:
        name, *arguments = fault.split(":")
        FAULTS[name](*arguments)
    sys.exit(main(sys.argv[border + 1 :]))
