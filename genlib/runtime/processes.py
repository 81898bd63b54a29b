"""The processes of one training, joined by torch.distributed through Accelerate."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import distributed

from genlib.errors import one_line
from genlib.runtime.host import keep_freed_memory
from genlib.runtime.launched import launchers_environment


class NotMet(Exception):
    """The processes of a training did not find each other; the message says where."""


def join(cpu: bool, bf16: bool, timeout: float) -> Accelerator:
    """Join the other processes of torchrun or accelerate launch, if there are any; each waits `timeout` seconds.

    Raises NotMet where the others do not come, and UserError where the launcher's environment makes no sense.
    """
    # Accelerate has no name yet for the successor of this argument of DistributedDataParallel.
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
    try:
        with launchers_environment():
            accelerator = Accelerator(
                cpu=cpu or not torch.accelerator.is_available(),
                mixed_precision="bf16" if bf16 else "no",
                kwargs_handlers=[
                    # Batch-norm statistics differ between processes and are not used: sending them would be wasted.
                    DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True),
                    InitProcessGroupKwargs(timeout=timedelta(seconds=timeout)),
                ],
            )
    except distributed.DistError as error:
        where = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise NotMet(f"the processes of this training did not meet at {where} ({one_line(str(error))})") from error
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def leave() -> None:
    """Leave the other processes, if there are any."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
