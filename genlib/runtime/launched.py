"""The environment that torchrun, accelerate launch or a scheduler gives each process of several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from genlib.errors import UserError

NUMBERS = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_PORT"]
NUMBERS += ["TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS"]
TOGETHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
REMEDY = "torchrun and accelerate launch set these variables: start with one of them, or unset all of them"


def check_launcher() -> None:
    """UserError where a launcher's variables are not whole numbers, not all set, or contradict each other."""
    for name in NUMBERS:
        value = os.environ.get(name, "0")
        if not (value.isascii() and value.isdecimal()):
            raise UserError(f"the environment variable {name} ({value!r}) must be a whole number; {REMEDY}.")
    processes, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    missing = [name for name in TOGETHER if name not in os.environ]
    if missing and (processes > 1 or "LOCAL_RANK" in os.environ):
        raise UserError(
            f"this is to be process {rank} of {processes}, and the environment variable {missing[0]} is not set; "
            f"{REMEDY}."
        )
    if "WORLD_SIZE" in os.environ and rank >= processes:
        raise UserError(f"RANK ({rank}) must be less than WORLD_SIZE ({processes}); {REMEDY}.")


@contextmanager
def launchers_environment() -> Iterator[None]:
    """Inside, Accelerate reads the rest of the environment; UserError for a value that it does not understand."""
    try:
        yield
    except ValueError as error:
        raise UserError(
            f"Accelerate does not understand the environment ({error}); mend or unset the variables ACCELERATE_* and "
            "those of the launcher, such as OMPI_* and PMI_*."
        ) from error


def is_first_process() -> bool:
    """Whether this process speaks for all; one that cannot tell speaks too."""
    try:
        check_launcher()
    except UserError:
        return True
    return "WORLD_SIZE" not in os.environ or int(os.environ.get("RANK", "0")) == 0


def is_started_again() -> bool:
    """Whether torchrun starts all processes again when one fails, as it does after the loss of a machine."""
    begun, most = (int(os.environ.get(f"TORCHELASTIC_{name}", 0)) for name in ("RESTART_COUNT", "MAX_RESTARTS"))
    return begun < most
