"""The end of a training run: result.json, and the sentences that tell a user about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

from genlib.data.parts import chosen_on
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.runtime.host import device_name, peak_memory_bytes
from genlib.runtime.output import lost_lines
from genlib.runtime.provenance import driver_version
from genlib.training.state.evaluations import Evaluations
from genlib.training.trainer import Trainer


def result_of(trainer: Trainer, status: str, message: str) -> dict[str, Any]:
    """The content of result.json."""
    progress, device, seconds = trainer.progress, trainer.accelerator.device, trainer.clock.seconds
    collapse = trainer.sentinel.standing()
    return {
        "status": status,
        **({"message": message} if message else {}),
        "step": progress.step,
        "images": progress.images,
        "seconds": round(seconds, 3),
        "images_per_second": round(progress.images / max(seconds, 1e-9), 1),
        "peak_memory_bytes": peak_memory_bytes(device),
        "device": device_name(device),
        "driver": driver_version(),
        "torch": torch.__version__,
        "threads": trainer.threads.changes,
        "processes": trainer.accelerator.num_processes,
        "skipped_steps": trainer.bad_updates.count,
        "rollbacks": trainer.bad_updates.rollbacks,
        **({"unwritten_lines": lost} if (lost := lost_lines()) else {}),  # of standard output and standard error
        **({"collapse": collapse} if collapse else {}),
        **best_and_last(trainer.evaluations, chosen_on(trainer.config, trainer.dataset)),
    }


def best_and_last(found: Evaluations, chosen: dict[str, Any]) -> dict[str, Any]:
    """The outcome of evaluations during training, if there were any, and on which images the best was `chosen`."""
    if found.best_value is None:
        return {}
    best = {"step": found.best_step, "metric": found.metric, "value": found.best_value, **chosen}
    last = {"step": found.evaluated, "metric": found.metric, "value": found.last_value}
    remark = found.remark()
    return {"best": best, "last": last, **({"note": remark} if remark else {})}


def result_trouble(run: RunFolder, result: dict[str, Any], check_place: Callable[[], None]) -> str | None:
    """Write result.json; a sentence about why that was not possible, if so."""
    try:
        check_place()
        run.write_result(**result)
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"{run.result_file} could not be written ({error.strerror or error})"
    return None


def explanation(error: Exception, trainer: Trainer, timeout: float) -> str | None:
    """A message for an error of the machine, not of the code; None for others."""
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
