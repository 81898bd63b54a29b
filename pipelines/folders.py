"""Which run folder a flow run works in: one that it is given, one that was cut off, or one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from genlib.config import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.home import runs_folder
from genlib.locks import held
from genlib.provenance import git_state, uncommitted
from genlib.training.run_folder import RunFolder, identity
from pipelines.ledger import read_ledger
from pipelines.sync import PIPELINE


@contextmanager
def run_folder(
    given: str | None, own: Path, config: RunConfig, dataset: DatasetFolder, resume: bool, say: Callable[[str], None]
) -> Iterator[RunFolder]:
    """Inside, no other flow works in the folder.

    `given` it is that one; `own`, which the flow run's id names, is there already when the same flow run is tried
    again; else, to `resume`, the newest that was cut off with the same configuration, data and code.
    """
    with ExitStack() as stack:
        candidates = [] if given or own.exists() or not resume else list(unfinished(config, dataset))
        for folder in candidates:
            try:
                stack.enter_context(held(folder.path, PIPELINE))
            except UserError:  # another flow run goes on with it
                continue
            say(f"going on with {folder.path}, which was cut off")
            break
        else:
            folder = RunFolder(given or own)
            folder.make()
            stack.enter_context(held(folder.path, PIPELINE))
        yield folder


def unfinished(config: RunConfig, dataset: DatasetFolder) -> Iterator[RunFolder]:
    """Folders of runs that were killed or told to stop, and would go on as this one would begin; newest first."""
    asked = {name: str(value) for name, value in identity(config).items()}
    origin = (git_state()["git.commit"], uncommitted(), dataset.manifest.content_hash)
    folders = sorted(runs_folder().glob(f"{config.registry.model}-*"), key=lambda path: -path.stat().st_mtime)
    for folder in map(RunFolder, folders):
        ledger = read_ledger(folder)
        if (
            ledger is not None
            and ledger.status in ("RUNNING", "KILLED")
            and ledger.model == config.registry.model
            and asked.items() <= ledger.params.items()
            and (ledger.tags["git.commit"], ledger.uncommitted, ledger.tags["dataset_hash"]) == origin
        ):
            yield folder
