"""One run from its configuration to its result, in this process or as one of several."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.data.making.integrity import check_contents
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.runs.opening import open_run
from genlib.runtime import processes
from genlib.runtime.host import denormals_flushed
from genlib.runtime.interruption import leaving_on_signals
from genlib.runtime.launched import is_started_again
from genlib.runtime.ranks import on_first_process
from genlib.runtime.signals import StopRequest, stop_with_parent
from genlib.training import memory
from genlib.training.outputs import Warn
from genlib.training.refusals import refuse_impossible
from genlib.training.result import explanation, result_of, result_trouble
from genlib.training.trainer import Diverged, Evaluate, Trainer

MakeEvaluate = Callable[[RunConfig, DatasetFolder, torch.device], Evaluate]
Check = Callable[[RunConfig, DatasetFolder], None]


def train(
    config: RunConfig,
    run_dir: Path | None = None,
    make_evaluate: MakeEvaluate | None = None,
    check: Check | None = None,
) -> int:
    """Train, or go on with the run in `run_dir`, and export the sampler; returns the process's exit code.

    Args:
        make_evaluate: makes the evaluation during training, where evaluation.every asks for it.
        check: raises UserError where the data cannot give what a later evaluation needs.

    Returns:
        0: finished; 1: diverged or failed; 128 + signal: preempted, with a checkpoint saved.

    Raises:
        UserError: on bad input, before any work.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        stop_with_parent()
    with denormals_flushed(), ExitStack() as stack:
        with leaving_on_signals("interrupted."):  # a dataset that is being made is cleaned up
            dataset = prepare(config.data)
        refuse_impossible(config, dataset)
        if check:
            check(config, dataset)
        memory.refuse_beyond(config, dataset)
        stack.callback(processes.leave)
        try:
            accelerator = make_accelerator(config)
        except processes.NotMet as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1
        run = on_first_process(lambda: open_run(config, run_dir, dataset, accelerator.num_processes, stack))
        evaluate = None
        if make_evaluate is not None and config.evaluation.every:
            evaluate = make_evaluate(run.config(), dataset, accelerator.device)
        return train_in(run, dataset, accelerator, evaluate)


def make_accelerator(config: RunConfig) -> Accelerator:
    """The device and the processes of this training; UserError where they are not as the configuration asks."""
    training = config.training
    accelerator = processes.join(training.device == "cpu", training.precision == "bf16", training.timeout)
    kind, count = accelerator.device.type, accelerator.num_processes
    if training.cuda_graphs and (kind != "cuda" or count > 1):
        raise UserError(
            f"training.cuda_graphs is for one process on an NVIDIA GPU, and this training would be {count} on "
            f"{kind}; leave it out."
        )
    return accelerator


def train_in(run: RunFolder, dataset: DatasetFolder, accelerator: Accelerator, evaluate: Evaluate | None) -> int:
    """Train in an opened run folder, and write result.json whatever happens."""
    config, is_main = run.config(), accelerator.is_main_process
    say = print if is_main else lambda *_, **__: None
    status, message, code, unwritten = "failed", "", 1, None
    place = run.kept_in_place() if is_main else nullcontext(lambda: None)
    with StopRequest(config.training.timeout) as stop, place as check_place:
        warn: Warn = lambda warning: say(f"warning: {warning}", flush=True)  # noqa: E731
        trainer = Trainer(config, run, dataset, accelerator, evaluate, warn, check_place)
        trainer.resume()
        begun = f"from step {trainer.progress.step}" if trainer.progress.step else "anew"
        say(f"training {run.path} on {accelerator.num_processes} x {accelerator.device.type} {begun}", flush=True)
        try:
            status = trainer.train(stop)
            if status == "finished":  # a signal from here on comes too late: the rest takes a moment
                on_first_process(lambda: check_contents(dataset))
                check_place()
                trainer.export()
            code = 0 if status == "finished" else stop.exit_code
        except Diverged as error:
            status, message = "diverged", str(error)
        except (OSError, RuntimeError) as error:
            status, message = "failed", explanation(error, trainer, config.training.timeout) or ""
            if not message:
                message = f"{type(error).__name__}: {error}"
                raise
        except KeyboardInterrupt:
            status, message = "preempted", "interrupted a second time, before a checkpoint of this step was saved"
            raise
        except BaseException as error:
            status, message = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            if is_main and not (status == "failed" and is_started_again()):
                unwritten = result_trouble(run, result_of(trainer, status, message), check_place)
    if unwritten and status == "finished":
        status, code = "failed", 1
        message = f"{unwritten}; the same command with --run-dir {run.path} writes it, without more training."
    elif unwritten:
        trainer.warn(f"{unwritten}.")
    if message:
        say(f"{status}: {message}", file=sys.stderr)
    say(f"{status} at step {trainer.progress.step}: {run.path}", flush=True)
    if note := trainer.evaluations.remark():
        say(f"note: {note}", flush=True)
    return code
