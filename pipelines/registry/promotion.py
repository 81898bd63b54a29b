"""The alias `champion` moved, one change at a time, with its history: by the gate, by hand, and back."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from shlex import quote
from typing import NamedTuple

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel

from genlib.errors import UserError
from genlib.storage.home import home
from pipelines.registry.events import PROMOTED, ROLLED_BACK, announce
from pipelines.registry.gate import challenge
from pipelines.registry.scores import from_tags
from pipelines.registry.versions import (
    CHALLENGER,
    CHAMPION,
    HISTORY,
    aliases_of,
    challenger_of,
    champion_of,
    existing_model,
    existing_version,
    history_of,
)
from pipelines.servers.local import shared_prefect
from pipelines.tracking.queries import versions_of

HISTORY_LENGTH = 4500  # characters; MLflow's databases hold 5000
LIMIT = "genlib-registry"  # Prefect's concurrency limit
LEASE = 60  # seconds, the least that Prefect grants; a holder that died is forgotten after them
PATIENCE = 180  # seconds to wait for the lease of others


class Move(NamedTuple):
    """The champion's alias from one version to another."""

    model: str
    version: str
    previous: str | None
    how: str
    by: str

    def announce(self) -> None:
        version = MlflowClient().get_model_version(self.model, self.version)
        announce(ROLLED_BACK if self.how == "rollback" else PROMOTED, version, self.previous, self.how, self.by)


def promote(name: str, version: str) -> str:
    """Make a version champion by hand; says what was done. UserError for an unknown model or version.

    The former champion becomes challenger where it is better than the present one by the gate's comparison. After
    `rollback` it does not: a person has decided against it.
    """
    client = MlflowClient()
    with registry_lock():
        model = existing_model(client, name)
        existing_version(client, name, version)
        if champion_of(model) == version:
            raise UserError(f"{name} version {version} is the champion already; nothing was changed.")
        move = make_champion(client, model, version, "promote")
        remarks = challenge_by(client, name, move.previous) if move.previous else []
    move.announce()
    said = f"{name}: champion is now version {version}" + (f", was version {move.previous}" if move.previous else "")
    return "; ".join([said, *remarks])


def challenge_by(client: MlflowClient, name: str, former: str) -> list[str]:
    """Make the former champion challenger if it is the better one, as both were evaluated; says who is challenger."""
    tags = client.get_model_version(name, former).tags
    if (metric := tags.get("gate.metric")) is None:  # it never passed the gate
        return []
    holder = challenger_of(client.get_registered_model(name))
    held = from_tags(client.get_model_version(name, holder).tags) if holder else None
    margin = float(tags.get("gate.margin", 0))
    wins, remarks = challenge(metric, margin, former, from_tags(tags), holder, held, is_candidate=False)
    if wins:
        client.set_registered_model_alias(name, CHALLENGER, former)
    return remarks


def rollback(name: str, leave: str | None = None) -> str:
    """Make the former champion champion again; says where it went. UserError where there is none.

    The same command again changes nothing: after a rollback another one waits for a promotion, or for the version to
    `leave` to be named; and a version that is not the champion is left already.
    """
    client = MlflowClient()
    with registry_lock():
        model = existing_model(client, name)
        current, history = champion_of(model), history_of(model)
        if leave is not None:
            existing_version(client, name, leave)
            if leave != current:
                return f"{name}: champion is version {current}, not {leave}; nothing was changed."
        elif history and history[-1]["how"] == "rollback" and history[-1]["version"] == current:
            return (
                f"{name}: champion is version {current} since {history[-1]['at']}, back from version "
                f"{history[-1]['previous']}; nothing was changed. To leave it too: genlib rollback "
                f"{quote(name)} --from {current}"
            )
        target = former_champion(history, current, {str(version.version) for version in versions_of(client, name)})
        if target is None:
            raise UserError(f"{name} has no former champion to go back to; use: genlib promote {quote(name)} VERSION")
        move = make_champion(client, model, target, "rollback")
    move.announce()
    return f"{name}: champion is now version {target}, back from version {current}"


def make_champion(client: MlflowClient, model: RegisteredModel, version: str, how: str) -> Move:
    """Move the alias and write the history; the caller holds the lock. UserError where someone else did not."""
    move = Move(model.name, version, champion_of(model), how, user())
    entry = {
        "version": version,
        "previous": move.previous,
        "how": how,
        "by": move.by,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    history = [*history_of(model), entry]
    while len(json.dumps(history)) > HISTORY_LENGTH:
        history.pop(0)
    # The history first: a failure in between leaves a line too many, and never a champion without one.
    client.set_registered_model_tag(model.name, HISTORY, json.dumps(history))
    client.set_registered_model_alias(model.name, CHAMPION, version)
    if aliases_of(model).get(version) == CHALLENGER:
        client.delete_registered_model_alias(model.name, CHALLENGER)
    after = client.get_registered_model(model.name)
    if champion_of(after) != version or history_of(after) != history:
        raise UserError(
            f"another process changed the champion of {model.name} at the same time, without the lock (it is version "
            f"{champion_of(after)} now): look at genlib compare {quote(model.name)}, and do it again."
        )
    return move


def former_champion(history: list[dict[str, str]], current: str | None, there: set[str]) -> str | None:
    """The champion before the current one, of those still there; a rollback undoes the latest step that stands."""
    stack: list[str] = []
    for entry in history:
        if entry["how"] == "rollback":
            while len(stack) > 1 and stack[-1] != entry["version"]:
                stack.pop()
        else:
            stack.append(entry["version"])
    former = [version for version in stack if version in there]
    while former and former[-1] == current:
        former.pop()
    return former[-1] if former else None


@contextmanager
def registry_lock() -> Iterator[None]:
    """One change of aliases at a time: MLflow has no compare-and-swap.

    Among the processes of one GENLIB_HOME by a file's lock, which the operating system frees; among hosts that share a
    Prefect server by a lease of its concurrency limit, which ends when its holder does not renew it.
    """
    with ExitStack() as stack:
        stack.enter_context(FileLock(home() / "registry.lock"))
        if shared_prefect():
            stack.enter_context(prefect_lease())
        yield


@contextmanager
def prefect_lease() -> Iterator[None]:
    """UserError where others keep it for longer than a holder that died could."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.concurrency.sync import concurrency
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(LIMIT)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # made by another process meanwhile
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=1))
    lease = concurrency(
        LIMIT, timeout_seconds=PATIENCE, lease_duration=LEASE, strict=True, raise_on_lease_renewal_failure=False
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(lease)
        except TimeoutError as error:
            raise UserError(
                f"Prefect's concurrency limit {LIMIT} has been taken for {PATIENCE} s; if no promotion is under way, "
                f"free it: prefect gcl update {LIMIT} --active-slots 0"
            ) from error
        yield


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return "unknown"
