"""What one process does for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from genlib.errors import UserError

T = TypeVar("T")


def on_main(accelerator: Accelerator, function: Callable[[], T]) -> T:
    """Call on the main process and give every process the result, or the error."""
    outcome: list[object] = [None, None]
    if accelerator.is_main_process:
        try:
            outcome = [function(), None]
        except UserError as error:
            outcome = [None, error]
        except Exception as error:
            broadcast_object_list([None, RuntimeError(f"{type(error).__name__}: {error}")])
            raise
    broadcast_object_list(outcome)
    result, failure = outcome
    if isinstance(failure, Exception):
        raise failure
    return cast(T, result)
