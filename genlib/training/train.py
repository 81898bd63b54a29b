"""One run from its configuration to its result, in this process or as one of several."""

from __future__ import annotations

import os
import re
import resource
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import distributed

from genlib.config.launcher import launcher_by_hand
from genlib.config.rules import problems_of
from genlib.config.run import RunConfig
from genlib.config.training import check_divisible
from genlib.data.folder import DatasetFolder
from genlib.data.making.integrity import check_contents
from genlib.data.making.prepare import prepare
from genlib.data.parts import chosen_on, parts_of_train
from genlib.errors import UserError, one_line
from genlib.runs.folder import RunFolder, new_run_name
from genlib.runtime.host import denormals_flushed, keep_freed_memory
from genlib.runtime.interruption import leaving_on_signals
from genlib.runtime.launched import launchers_environment
from genlib.runtime.output import lost_lines
from genlib.runtime.provenance import driver_version
from genlib.runtime.ranks import on_first_process
from genlib.runtime.signals import StopRequest, stop_with_parent
from genlib.storage.home import runs_folder
from genlib.storage.locks import held
from genlib.training import memory
from genlib.training.outputs import Warn
from genlib.training.state.bad_updates import any_phase
from genlib.training.state.checkpoint import Progress
from genlib.training.trainer import Diverged, Evaluate, Trainer

FEWEST_TO_CHOOSE_BY = 10  # validation images, below which chance would choose the checkpoint
FAR = 0.1  # of the value: how far the best must lie ahead of the last to be worth a word

MakeEvaluate = Callable[[RunConfig, DatasetFolder, torch.device], Evaluate]
Check = Callable[[RunConfig, DatasetFolder], None]


def train(
    config: RunConfig,
    run_dir: Path | None = None,
    make_evaluate: MakeEvaluate | None = None,
    check: Check | None = None,
) -> int:
    """Train, or go on with the run in `run_dir`, and export the sampler; returns the process's exit code.

    `make_evaluate` makes what evaluation.every asks for, and `check` raises UserError where the data cannot give what a
    later evaluation needs. 0 finished, 1 diverged or failed, 128 + signal preempted (a checkpoint is saved). UserError
    before any work on bad input.
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
        stack.callback(leave_group)
        try:
            accelerator = make_accelerator(config)
        except distributed.DistError as error:
            where = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
            print(
                f"failed: the processes of this training did not meet at {where} ({one_line(str(error))})",
                file=sys.stderr,
            )
            return 1
        run = on_first_process(lambda: open_run(config, run_dir, dataset, accelerator.num_processes, stack))
        evaluate = None
        if make_evaluate is not None and config.evaluation.every:
            evaluate = make_evaluate(run.config(), dataset, accelerator.device)
        return train_in(run, dataset, accelerator, evaluate)


def leave_group() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def refuse_impossible(config: RunConfig, dataset: DatasetFolder) -> None:
    """What only the data can tell."""
    batch_size, rows = config.training.batch_size, len(dataset.images("train"))
    learned_from, left_out = map(len, parts_of_train(config, rows))
    if config.held_back and left_out < FEWEST_TO_CHOOSE_BY:
        raise UserError(
            f"data.validation_fraction ({config.held_back:g}) of the train split ({rows} images) is {left_out}, and "
            f"registry.metric ({config.registry.metric}) chooses the best checkpoint by {FEWEST_TO_CHOOSE_BY} or more; "
            "raise it, or choose by a metric of samples, such as fd_random."
        )
    if batch_size > learned_from:
        what = f"the train split without the {left_out} validation images" if left_out else "the train split"
        raise UserError(
            f"training.batch_size ({batch_size}) is larger than {what} ({learned_from} images); use at most "
            f"{learned_from}."
        )
    if not config.method.takes_labels:
        return
    if dataset.labels("train") is None:
        raise UserError(
            f"method.conditioning needs labels, which {config.data.source} has not; set method.conditioning=none, or "
            "name the labels' column in data.label_column."
        )
    if unknown := dataset.unlabelled("train"):
        raise UserError(
            f"method.conditioning needs a label for each image, and {unknown} of {rows} have none; leave these out, or "
            "set method.conditioning=none."
        )


def make_accelerator(config: RunConfig) -> Accelerator:
    """UserError where the machine has not what the configuration asks for."""
    # Accelerate has no name yet for the successor of this argument of DistributedDataParallel.
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
    with launchers_environment():
        accelerator = Accelerator(
            cpu=config.training.device == "cpu" or not torch.accelerator.is_available(),
            mixed_precision="bf16" if config.training.precision == "bf16" else "no",
            kwargs_handlers=[
                # Batch-norm statistics differ between processes and are not used: sending them around would be wasted.
                DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True),
                InitProcessGroupKwargs(timeout=timedelta(seconds=config.training.timeout)),
            ],
        )
    kind, processes = accelerator.device.type, accelerator.num_processes
    if kind == "cpu":
        keep_freed_memory()
    if config.training.cuda_graphs and (kind != "cuda" or processes > 1):
        raise UserError(
            f"training.cuda_graphs is for one process on an NVIDIA GPU, and this training would be {processes} on "
            f"{kind}; leave it out."
        )
    return accelerator


def open_run(
    config: RunConfig, run_dir: Path | None, dataset: DatasetFolder, processes: int, stack: ExitStack
) -> RunFolder:
    """The run's folder, new or to be continued and ours until `stack` unwinds; its micro-batches are made a number.

    Where the configuration leaves that number open, a run goes on with what it began with, if the processes can share
    that out, or else with one for each.
    """
    run = RunFolder(run_dir or runs_folder() / new_run_name(config.registry.model))
    run.make()
    stack.enter_context(held(run.path, "training"))
    check_contents(dataset)
    asked = config.training.micro_batches
    begun = run.config().training.micro_batches if run.exists() else None
    micro_batches = asked or begun or processes
    if asked is None and micro_batches % processes:
        micro_batches = processes
        print(f"note: cut into {processes} parts instead of {begun}, a batch has other draws from here on.", flush=True)
    try:
        check_divisible(config.training.batch_size, micro_batches, processes)
    except ValueError as error:
        raise UserError(str(error)) from error
    training = config.training.model_copy(update={"micro_batches": micro_batches, "processes": processes})
    launcher = config.launcher if processes % config.launcher.machines == 0 else launcher_by_hand()
    settled = config.model_copy(update={"training": training, "launcher": launcher})
    for problem in problems_of(settled):
        raise UserError(problem)
    run.start(
        settled,
        {"folder": dataset.path.name, "content_hash": dataset.manifest.content_hash},
        free=() if asked else ("training.micro_batches",),
    )
    return run


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
    if note := note_on_best(trainer.progress):
        say(f"note: {note}", flush=True)
    return code


def result_trouble(run: RunFolder, result: dict[str, Any], check_place: Callable[[], None]) -> str | None:
    """Write result.json; why that was not possible, if so."""
    try:
        check_place()
        run.write_result(**result)
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"{run.result_file} could not be written ({error.strerror or error})"
    return None


def is_started_again() -> bool:
    """Whether torchrun starts all processes again when one fails, as it does where a machine went."""
    begun, most = (int(os.environ.get(f"TORCHELASTIC_{name}", 0)) for name in ("RESTART_COUNT", "MAX_RESTARTS"))
    return begun < most


def explanation(error: Exception, trainer: Trainer, timeout: float) -> str | None:
    """What to tell of an error that is the machine's, not ours; None for others."""
    step, run = trainer.progress.step, trainer.run_folder.path
    if isinstance(error, OSError):
        if not trainer.dataset.path.exists():
            return (
                f"the dataset folder {trainer.dataset.path} has vanished at step {step}; make it again with genlib "
                f"prepare CONFIG, and go on with --run-dir {run}."
            )
        return f"{error.filename or run}: {error.strerror or error}, at step {step}; go on with --run-dir {run}."
    if trainer.accelerator.num_processes > 1 and re.search("gloo|nccl|connection|timed out|peer", str(error), re.I):
        return (
            f"another process of this training ended, or did not answer within training.timeout ({timeout:g} s), at "
            f"step {step} ({str(error).splitlines()[0][:200]}); go on with --run-dir {run}."
        )
    return None


def result_of(trainer: Trainer, status: str, message: str) -> dict[str, Any]:
    """What result.json has."""
    progress, device = trainer.progress, trainer.accelerator.device
    collapse = [trainer.sentinel.sentence(symptom) for symptom in trainer.sentinel.standing()]
    return {
        "status": status,
        **({"message": message} if message else {}),
        "step": progress.step,
        "images": progress.images,
        "seconds": round(progress.seconds, 3),
        "images_per_second": round(progress.images / max(progress.seconds, 1e-9), 1),
        "peak_memory_bytes": peak_memory_bytes(device),
        "device": device_name(device),
        "driver": driver_version(),
        "torch": torch.__version__,
        "processes": trainer.accelerator.num_processes,
        "skipped_steps": progress.skipped + len(any_phase(progress.recently_skipped)),
        "rollbacks": progress.rollbacks,
        **({"unwritten_lines": lost} if (lost := lost_lines()) else {}),  # of standard output and standard error
        **({"collapse": collapse} if collapse else {}),
        **best_and_last(progress, chosen_on(trainer.config, trainer.dataset)),
    }


def best_and_last(progress: Progress, chosen: dict[str, Any]) -> dict[str, Any]:
    """What evaluations during training found, if there were any, and on which images the best was `chosen`."""
    if progress.best_value is None:
        return {}
    best = {"step": progress.best_step, "metric": progress.metric, "value": progress.best_value, **chosen}
    last = {"step": progress.evaluated, "metric": progress.metric, "value": progress.last_value}
    note = note_on_best(progress)
    return {"best": best, "last": last, **({"note": note} if note else {})}


def note_on_best(progress: Progress) -> str | None:
    """A sentence where the best evaluation lies far ahead of the last, as is common in adversarial training."""
    best, last = progress.best_value, progress.last_value
    if best is None or last is None or abs(best - last) <= FAR * max(abs(best), abs(last)):
        return None
    return (
        f"the best {progress.metric} during training, {best:.4g} at step {progress.best_step}, is far better than the "
        f"last, {last:.4g} at step {progress.evaluated}; evaluation.checkpoint=best judges and registers the best."
    )


def peak_memory_bytes(device: torch.device) -> int:
    """Of the main process: device memory on a GPU, resident memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
