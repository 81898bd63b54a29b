"""A run folder is opened: made, or found with the same run in it, and locked."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from genlib.config.launcher import launcher_by_hand
from genlib.config.rules import problems_of
from genlib.config.run import RunConfig
from genlib.config.training import check_divisible
from genlib.data.folder import DatasetFolder
from genlib.data.making.integrity import check_contents
from genlib.errors import UserError
from genlib.runs.folder import RunFolder, new_run_name
from genlib.storage.home import runs_folder
from genlib.storage.locks import held


def open_run(
    config: RunConfig, run_dir: Path | None, dataset: DatasetFolder, processes: int, stack: ExitStack
) -> RunFolder:
    """The run's folder, new or to be continued, locked until `stack` unwinds; its config.yaml says how many
    micro-batches and processes there are.

    Where the configuration leaves the number of micro-batches open, a run goes on with that which it began with, if
    they can be shared out evenly over the processes, or else with one for each process. UserError where the folder
    holds another run, or is in use.
    """
    run = RunFolder(run_dir or runs_folder() / new_run_name(config.registry.model))
    run.make()
    stack.enter_context(held(run.path, "training"))
    check_contents(dataset)
    settled = with_counts(config, run.config().training.micro_batches if run.exists() else None, processes)
    run.start(
        settled,
        {"folder": dataset.path.name, "content_hash": dataset.manifest.content_hash},
        free=() if config.training.micro_batches else ("training.micro_batches",),
    )
    return run


def with_counts(config: RunConfig, begun_with: int | None, processes: int) -> RunConfig:
    """The configuration with the numbers of processes and micro-batches; UserError where they do not go together.

    `begun_with`: the micro-batches of the run so far; None: it is new.
    """
    asked = config.training.micro_batches
    micro_batches = asked or begun_with or processes
    if asked is None and micro_batches % processes:
        micro_batches = processes
        print(
            f"note: cut into {processes} micro-batches instead of {begun_with}, a batch has other draws from here on.",
            flush=True,
        )
    try:
        check_divisible(config.training.batch_size, micro_batches, processes)
    except ValueError as error:
        raise UserError(str(error)) from error
    training = config.training.model_copy(update={"micro_batches": micro_batches, "processes": processes})
    launcher = config.launcher if processes % config.launcher.machines == 0 else launcher_by_hand()
    settled = config.model_copy(update={"training": training, "launcher": launcher})
    for problem in problems_of(settled):
        raise UserError(problem)
    return settled
