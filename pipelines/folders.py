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
from genlib.paths import user_path
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
        folder = None if given or own.exists() or not resume else cut_off(config, dataset, stack)
        if folder is None:
            folder = RunFolder(user_path(given) if given else own)
            folder.make()
            stack.enter_context(held(folder.path, PIPELINE))
        else:
            say(f"going on with {folder.path}, which was cut off")
        yield folder


def cut_off(config: RunConfig, dataset: DatasetFolder, stack: ExitStack) -> RunFolder | None:
    """The newest run that was killed or told to stop, and would go on as this one would begin; held in `stack`."""
    code, changes = git_state(), uncommitted()
    if code["git.commit"] == "unknown" or (code["git.dirty"] == "true" and not changes):
        return None  # an image of unknown code: nobody can tell whether it was the same
    asked = {name: str(value) for name, value in identity(config).items()}
    made_from = code | {"dataset_hash": dataset.manifest.content_hash}

    def goes_on(folder: RunFolder) -> bool:
        ledger = read_ledger(folder)
        return (
            ledger is not None
            and ledger.status in ("RUNNING", "KILLED")
            and ledger.model == config.registry.model
            and asked.items() <= ledger.params.items()
            and made_from.items() <= ledger.tags.items()
            and ledger.uncommitted == changes
        )

    paths = sorted(runs_folder().glob(f"{config.registry.model}-*"), key=lambda path: -path.stat().st_mtime)
    for folder in filter(goes_on, map(RunFolder, paths)):
        try:
            stack.enter_context(held(folder.path, PIPELINE))
        except UserError:  # another flow run goes on with it
            continue
        if goes_on(folder):  # the one that held it may have ended it while we waited
            return folder
        stack.close()
    return None
