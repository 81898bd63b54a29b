"""Registration of a run's model, and sending what MLflow did not take while it was away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from genlib.config.run import RunConfig
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.storage.files import read_json
from genlib.storage.home import runs_folder
from genlib.storage.locks import held
from pipelines.registry import register as registry
from pipelines.registry.reevaluation import evaluate_again
from pipelines.servers.environment import reason_of
from pipelines.tracking.ledger import ledger_file, read_ledger
from pipelines.tracking.mirror import Mirror, tags_of

PIPELINE = "pipeline"  # the work that a run folder is locked for


def register_run(
    config: RunConfig,
    folder: RunFolder,
    mirror: Mirror,
    say: Callable[[str], None] = print,
    devices: Mapping[str, str] | None = None,
) -> registry.Registered:
    """Register an evaluated run's sampler. What the ledger says of it stays until MLflow has taken it.

    `devices`: the environment of an evaluation of the champion, where it takes one; None: with devices of its own.
    """
    ledger, result = mirror.ledger, folder.result()
    ledger.to_register = {**ledger.tags, **(tags_of(result) if result else {}), "run_folder": str(folder.path)}
    ledger.write(folder)
    mirror.connect()
    sampler = folder.exported(config.evaluation.checkpoint).sampler
    weights = read_json(sampler / "config.json")["info"]["weights_sha256"]
    registered = registry.register(
        config.registry,
        mirror.run_id,
        sampler,
        folder.evaluation(),
        ledger.to_register | {"weights_sha256": weights},
        partial(evaluate_again, config, mirror.run_id, say=say, devices=devices),
        remarks_on(config, folder),
    )
    ledger.to_register, ledger.version = None, registered.version
    ledger.write(folder)
    mirror.connect().set_tag(mirror.run_id, "registered_version", registered.version)
    mirror.connect().set_tag(mirror.run_id, "mlflow.note.content", registered.decision)  # the run's description
    return registered


def remarks_on(config: RunConfig, folder: RunFolder) -> list[str]:
    """Remarks on the training for the gate's report."""
    result = folder.result()
    status, collapse, note = result.get("status", "finished"), result.get("collapse", []), result.get("note")
    remarks = [] if status == "finished" else [f"its training was {status} at step {result.get('step')}"]
    remarks += [f"its training collapsed: {sentence}" for sentence in collapse]
    return remarks + ([note] if note and config.evaluation.checkpoint == "last" else [])


def catch_up(folder: RunFolder, warn: Callable[[str], None]) -> str | None:
    """Send what MLflow lacks of a run; says what came of it. None where it lacks nothing, or no pipeline made it."""
    try:
        ledger = read_ledger(folder)
        if ledger is None or ledger.complete:
            return None
        with held(folder.path, PIPELINE):
            ledger = read_ledger(folder) or ledger  # as the one that held it left it
            mirror = Mirror(folder, ledger, warn)
            status = "KILLED" if ledger.status == "RUNNING" else ledger.status  # its process died without a word
            done = "sent"
            if ledger.to_register is not None:
                registered = register_run(folder.config(), folder, mirror)
                done, status = f"sent, version {registered.version} is {registered.standing}", "FINISHED"
            if not mirror.close(status):
                return f"{folder.path.name}: not all sent"
            return f"{folder.path.name}: {done}"
    except UserError as error:
        return f"{folder.path.name}: not sent: {error}"
    except Exception as error:  # whatever MLflow's trouble is, other runs may still be sent
        return f"{folder.path.name}: not sent: {reason_of(error)}"


def sync(paths: list[Path], warn: Callable[[str], None]) -> list[str]:
    """Catch up with these run folders, or with all under GENLIB_HOME; a line for each that lacked something."""
    chosen = [path.absolute() for path in paths] or sorted(runs_folder().iterdir())
    folders = [RunFolder(path) for path in chosen]
    for folder in folders:
        if paths and not ledger_file(folder).exists():
            raise UserError(
                f"{folder.path} has no tracking.json: no pipeline has tracked it; name a run that one made."
            )
    return [line for folder in folders if (line := catch_up(folder, warn)) is not None]
