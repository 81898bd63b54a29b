"""Decoding on all cores: worker processes that write their rows straight into the memory-mapped array file.

The processes are started as fresh interpreters, not through multiprocessing: fork is unsafe in a process with torch's
threads, and spawn and forkserver import the caller's main module again (all of torch, or a script without a guard, or
one from standard input that is no file). A worker imports numpy and Pillow, nothing else.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from genlib.data.making.decode import Filled, Job

log = logging.getLogger(__name__)
Worker = subprocess.Popen[bytes]
OUT_OF_MEMORY = 137  # a worker's exit code, as a shell reports a process that the kernel killed for it
COMMAND = "import sys; sys.path[:] = {path!r}; from genlib.data.making.workers import serve; serve()"


class Workers:
    """`count` worker processes, started by the first jobs, ended with the with block or with this process.

    A worker that ends early, as when memory is short, is not replaced: the others do its job, and this process does it
    when none is left.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.workers: list[Worker] = []
        self.alive = 0
        self.idle: SimpleQueue[Worker | None] = SimpleQueue()  # None: there are no workers any more
        self.threads = ThreadPoolExecutor(count)  # each waits for one worker
        self.alone = Lock()  # held by the one thread that works in this process
        self.closing = False

    def start(self) -> None:
        # One thread each: the cores are shared out already.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command = [sys.executable, "-c", COMMAND.format(path=sys.path)]
        try:
            while len(self.workers) < self.count:
                self.workers.append(
                    subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
                )
        except OSError as error:  # too little memory, or too many processes
            log.warning("%d of %d decoding processes started (%s)", len(self.workers), self.count, error.strerror)
        self.alive = len(self.workers)
        for worker in self.workers:
            self.idle.put(worker)
        if not self.workers:
            self.idle.put(None)

    @property
    def started(self) -> bool:
        return bool(self.workers)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing = True
        for worker in self.workers:
            worker.kill()  # idle, or no longer needed; their rows are in the file
            worker.wait()
        self.idle.put(None)
        self.threads.shutdown(cancel_futures=True)
        for worker in self.workers:
            for pipe in pipes(worker):
                with suppress(OSError):  # a job that a killed worker did not read
                    pipe.close()

    def fill(self, jobs: Iterable[Job]) -> Iterator[Filled]:
        """The jobs' results in the jobs' order; reads at most two jobs ahead for each worker."""
        if not self.started:
            self.start()
        waiting: deque[Future[Filled]] = deque()
        for job in jobs:
            waiting.append(self.threads.submit(self._run, job))
            if len(waiting) > 2 * self.count:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()

    def _run(self, job: Job) -> Filled:
        while (worker := self.idle.get()) is not None:
            requests, replies = pipes(worker)
            try:
                pickle.dump(job, requests, pickle.HIGHEST_PROTOCOL)
                requests.flush()
                filled: Filled = pickle.load(replies)  # noqa: S301 - from a process of ours, over a pipe of ours
            except (OSError, EOFError, pickle.UnpicklingError):
                self._lost(worker)
            else:
                self.idle.put(worker)
                return filled
        self.idle.put(None)  # for the other threads
        if self.closing:
            raise RuntimeError("the decoding processes were ended")
        from genlib.data.making.decode import fill

        with self.alone:
            return fill(job)

    def _lost(self, worker: Worker) -> None:
        """Log that a worker has ended, and which process does its job now."""
        code = worker.wait()
        if self.closing:
            return
        with self.alone:
            self.alive -= 1
            left = self.alive
            if not left:
                self.idle.put(None)
        memory = ", perhaps because memory was short" if code in (-signal.SIGKILL, OUT_OF_MEMORY) else ""
        reason = (f"signal {-code}" if code < 0 else f"exit code {code}") + memory
        others = f"{left} other{'s decode' if left > 1 else ' decodes'}" if left else "this process decodes"
        log.warning("a decoding process ended early (%s): %s its images", reason, others)


def pipes(worker: Worker) -> tuple[IO[bytes], IO[bytes]]:
    assert worker.stdin and worker.stdout
    return worker.stdin, worker.stdout


def serve() -> None:
    """The program of a worker: fill one job after another until the parent is gone."""
    from genlib.data.making.decode import fill

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    warnings.simplefilter("ignore")  # Pillow warns of harmless EXIF errors, once an image
    replies = os.fdopen(os.dup(1), "wb")
    sys.stderr = os.fdopen(os.dup(2), "w")
    with open(os.devnull, "w") as nowhere:  # what libtiff and others print would stand between the replies
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)  # noqa: S301 - see run
        except (EOFError, pickle.UnpicklingError):
            return
        try:
            pickle.dump(fill(job), replies)
            replies.flush()
        except BrokenPipeError:
            return
        except MemoryError:
            sys.exit(OUT_OF_MEMORY)
