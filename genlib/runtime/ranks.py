"""Work that the first process does for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from torch import distributed

from genlib.errors import UserError

Result = TypeVar("Result")


def on_first_process(work: Callable[[], Result]) -> Result:
    """Do `work` on process 0 while the others wait, and give its result, or raise its error, on all of them.

    An error that is no UserError is raised as itself on process 0 and as a RuntimeError with its name and message on
    the others, since not every exception can be sent.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return work()
    outcome: list[Any] = [None, None]  # the result, and the error
    if distributed.get_rank() == 0:
        try:
            outcome[0] = work()
        except UserError as error:
            outcome[1] = error
        except Exception as error:
            distributed.broadcast_object_list([None, RuntimeError(f"{type(error).__name__}: {error}")], src=0)
            raise
    distributed.broadcast_object_list(outcome, src=0)
    result, failure = outcome
    if failure is not None:
        raise failure
    return cast(Result, result)
