"""The run folder of a flow run: the one that the user names, one that was cut off, or a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.runs.folder import RunFolder, identity
from genlib.runtime.provenance import git_state, uncommitted
from genlib.storage.home import runs_folder
from genlib.storage.locks import held
from genlib.storage.paths import user_path
from pipelines.flows.sync import PIPELINE
from pipelines.tracking.ledger import Ledger, read_ledger


@contextmanager
def run_folder(
    given: str | None, own: Path, config: RunConfig, dataset: DatasetFolder, resume: bool, say: Callable[[str], None]
) -> Iterator[RunFolder]:
    """Yield the run folder, locked against other flows.

    Args:
        given: The folder that the user named, if any.
        own: A folder named by the flow run's id; it exists already when the same flow run is tried again.
        config: The configuration, with which a run that was cut off must agree.
        dataset: The data, with which it must agree too.
        resume: Whether to go on with the newest run that was cut off with the same configuration, data and code.
        say: Takes the lines for the log.
    """
    with ExitStack() as stack:
        folder = None if given or own.exists() or not resume else cut_off(config, dataset, stack, say)
        if folder is None:
            folder = RunFolder(user_path(given) if given else own)
            folder.make()
            stack.enter_context(held(folder.path, PIPELINE))
        else:
            say(f"going on with {folder.path}, which was cut off")
        yield folder


def cut_off(
    config: RunConfig, dataset: DatasetFolder, stack: ExitStack, say: Callable[[str], None]
) -> RunFolder | None:
    """The newest run that was killed or told to stop, and would go on as this one would begin; held in `stack`.

    Where there is one of this configuration that would not, `say` tells why, and what to do.
    """
    code, changes = git_state(), uncommitted()
    asked = {name: str(value) for name, value in identity(config).items()}
    refused: list[str] = []

    def goes_on(folder: RunFolder) -> bool:
        try:
            ledger = read_ledger(folder)
        except UserError as error:
            say(f"not asked whether to go on with {folder.path}: {error}")
            return False
        if (
            ledger is None
            or ledger.status not in ("RUNNING", "KILLED")
            or ledger.model != config.registry.model
            or not asked.items() <= ledger.params.items()
            or (folder.exists() and folder.config().held_back != config.held_back)
        ):
            return False
        if reason := difference(ledger, code, changes, dataset):
            refused.append(f"{folder.path} was cut off, and is not gone on with, since {reason}")
        return not reason

    paths = sorted(runs_folder().glob(f"{config.registry.model}-*"), key=lambda path: -path.stat().st_mtime)
    for folder in filter(goes_on, map(RunFolder, paths)):
        try:
            stack.enter_context(held(folder.path, PIPELINE))
        except UserError:  # another flow run goes on with it
            continue
        if goes_on(folder):  # the one that held it may have ended it while we waited
            return folder
        stack.close()
    if refused:
        say(f"beginning anew: {refused[0]}.")
    return None


def difference(ledger: Ledger, code: dict[str, str], changes: str, dataset: DatasetFolder) -> str | None:
    """Why a run that was cut off would give another model now, and what to do; None where it would not."""
    name_it = "name its folder (--run-dir, or run_dir of a deployment) to go on with it all the same"
    before, now = ledger.tags.get("dataset_hash", "unknown"), dataset.manifest.content_hash
    if before != now:
        return f"the data have changed (content hash {before[:12]} then, {now[:12]} now); restore them to go on with it"
    if code["git.commit"] == "unknown" or (code["git.dirty"] == "true" and not changes):
        return f"nobody can tell whether its code was the code of today, which is in no git checkout; {name_it}"
    for tag, what in (("git.commit", "commit"), ("git.dirty", "uncommitted changes")):
        if ledger.tags.get(tag) != code[tag]:
            return f"its code was another ({what}: {ledger.tags.get(tag)} then, {code[tag]} now); {name_it}"
    if ledger.uncommitted != changes:
        return f"the code's uncommitted changes were others ({changed(ledger.uncommitted, changes)}); {name_it}"
    return None


def changed(before: str, now: str) -> str:
    """The first line in which two lists of uncommitted changes differ."""
    for then, today in zip_longest(before.splitlines(), now.splitlines(), fillvalue="nothing"):
        if then != today:
            return f"{then[:120]!r} then, {today[:120]!r} now"
    return "in their line ends"
