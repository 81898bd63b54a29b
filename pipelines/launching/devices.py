"""The devices of a training: slots of a Prefect concurrency limit, and locks on the GPUs of this machine.

Slots are what everybody sees and counts; locks say which GPUs, and hold without any server. The slots of a flow that
was killed are free again when its lease ends, after five minutes; its locks, when the process that it started ends.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx
from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Running

from genlib.config.run import RunConfig
from genlib.errors import UserError
from pipelines.launching.job import gpus_for, processes_here, processes_of, visible_gpus

INTERVAL = 3.0  # seconds between two attempts
LOCKS = Path("/var/lock/genlib")
LOCKED = 423  # HTTP: the slots are taken

Taken = TypeVar("Taken")


@contextmanager
def devices_for(config: RunConfig) -> Iterator[dict[str, str]]:
    """Hold the devices of a training; yields the environment in which processes see these devices alone.

    Waits until they are free, the flow run being AwaitingDevices. UserError where there are too few.
    """
    with ExitStack() as stack:
        if limit := limit_of_this_run():
            stack.enter_context(slots(limit, processes_of(config)))
        yield stack.enter_context(gpus(processes_here(config))) if gpus_for(config) else {}


def limit_of_this_run() -> str | None:
    """GENLIB_SLOTS, else the concurrency limit that is named like the work pool; None where there is none."""
    named = os.environ.get("GENLIB_SLOTS")
    context = FlowRunContext.get()
    pool = context.flow_run.work_pool_name if context and context.flow_run else None
    if named or pool is None:
        return named
    return pool if size_of(pool) is not None else None


def size_of(limit: str) -> int | None:
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(limit).limit
        except ObjectNotFound:
            return None


@contextmanager
def slots(limit: str, count: int) -> Iterator[None]:
    size = size_of(limit)
    if size is None:
        raise UserError(
            f"GENLIB_SLOTS is '{limit}', but there is no such concurrency limit; make it: prefect "
            f"global-concurrency-limit create {limit} --limit {count}"
        )
    if count > size:
        raise UserError(
            f"training.processes ({count}) are more than the {size} slots of '{limit}'; use fewer, or raise it: "
            f"prefect global-concurrency-limit update {limit} --limit {count}"
        )

    def take() -> ExitStack | None:
        stack = ExitStack()
        try:
            # A lease that cannot be renewed, its server being away, ends no training.
            stack.enter_context(
                concurrency(limit, count, max_retries=0, strict=True, raise_on_lease_renewal_failure=False)
            )
        except ConcurrencySlotAcquisitionError as error:
            if isinstance(error.__cause__, httpx.HTTPStatusError) and error.__cause__.response.status_code == LOCKED:
                return None
            raise
        return stack

    with wait_for(take, f"{count} of the {size} slots of '{limit}'"):
        yield


@contextmanager
def gpus(count: int) -> Iterator[dict[str, str]]:
    """Locks that a process started inside inherits, so that a GPU is taken as long as it lives."""
    visible = visible_gpus()
    if count > len(visible):
        raise UserError(
            f"training.processes is {count}, but {len(visible)} GPUs are visible here; use at most that many, or auto."
        )
    folder = locks_folder()

    def take() -> dict[str, int] | None:
        taken: dict[str, int] = {}
        for gpu in visible:
            descriptor = locked(folder / f"{gpu}.lock")
            if descriptor is not None:
                taken[gpu] = descriptor
            if len(taken) == count:
                return taken
        release(taken)
        return None

    taken = wait_for(take, f"{count} of the GPUs {', '.join(visible)}")
    try:
        yield {"CUDA_VISIBLE_DEVICES": ",".join(taken)}
    finally:
        release(taken)


def release(taken: dict[str, int]) -> None:
    for descriptor in taken.values():
        os.close(descriptor)


def locks_folder() -> Path:
    """One for all users and runs of this machine; GENLIB_GPU_LOCKS names another, such as one that containers share."""
    named = os.environ.get("GENLIB_GPU_LOCKS")
    for folder in [Path(named)] if named else [LOCKS, Path(tempfile.gettempdir()) / LOCKS.name]:
        with suppress(OSError):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o1777)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise UserError(
        f"locks on GPUs cannot be written to {folder}; make it writable, or name another: GENLIB_GPU_LOCKS."
    )


def locked(file: Path) -> int | None:
    """A descriptor that holds the file's lock; None where another process does."""
    if file.exists():
        descriptor = os.open(file, os.O_RDWR)  # without O_CREAT, which Linux refuses for another user's file
    else:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
        os.fchmod(descriptor, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, True)
    return descriptor


def wait_for(take: Callable[[], Taken | None], what: str) -> Taken:
    """Call `take` until it returns something. Meanwhile the flow run's state says that it waits for `what`."""
    taken = take()
    if taken is None:
        show(Running(name="AwaitingDevices", message=f"waiting for {what}"))
        while (taken := take()) is None:
            time.sleep(INTERVAL)
        show(Running())
    return taken


def show(state: State[None]) -> None:
    """Set the flow run's state, unless it is being cancelled; without a flow run, print its message to stderr."""
    said, context = state.message or "got them", FlowRunContext.get()
    if context is None:
        print(said, file=sys.stderr)
        return
    get_run_logger().info("%s", said)
    with get_client(sync_client=True) as client:
        now = client.read_flow_run(runtime.flow_run.id).state
        if now is None or now.name != "Cancelling":
            client.set_flow_run_state(runtime.flow_run.id, state, force=True)
