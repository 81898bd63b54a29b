"""The stages of a retraining as Prefect tasks. Training and evaluation are processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from logging import Logger, LoggerAdapter
from shlex import quote
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.data.making.prepare import prepare as prepare_data
from genlib.errors import UserError
from genlib.evaluation.preflight import check_counts, check_metric, check_weights
from genlib.runs.folder import RunFolder
from genlib.storage.files import write_json
from pipelines.flows.sync import register_run
from pipelines.launching import job
from pipelines.launching.launch import Ended, evaluate_command, run_process
from pipelines.registry import register as registry
from pipelines.servers.environment import reason_of
from pipelines.tracking.mirror import Mirror, sync_command


class StageFailed(Exception):
    """A stage's process ended badly; the message holds its last lines."""


class Preempted(BaseException):
    """Training was told to stop and saved a checkpoint: Prefect records a crash, not a failure."""


def not_bad_input(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Another attempt may help against the network's moods, and never against bad input."""
    return not isinstance(state.data, UserError)


@task(
    task_run_name="prepare {config.data.source}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=not_bad_input,
    cache_policy=NO_CACHE,
)
def prepare(config: RunConfig) -> DatasetFolder:
    """The dataset folder, made or found."""
    check_weights(config.evaluation)
    dataset = prepare_data(config.data, sys.stderr.isatty(), get_run_logger().warning)
    manifest = dataset.manifest
    check_counts(config.evaluation, manifest)
    check_metric(config, dataset)
    counts = ", ".join(f"{count:,} {split}" for split, count in manifest.counts.items())
    shape = "points" if dataset.is_points else f"images of {'x'.join(map(str, manifest.shape))}"
    get_run_logger().info("%s: %s %s", dataset.path, counts, shape)
    return dataset


@task(
    task_run_name="champion of {config.registry.model}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_condition_fn=not_bad_input,
    cache_policy=NO_CACHE,
)
def champion_of(config: RunConfig, dataset: DatasetFolder) -> str | None:
    """Why there is nothing to train: the champion's data are these. None where they changed, or there is none yet."""
    model, content = config.registry.model, dataset.manifest.content_hash
    version = registry.champion_version(model)
    if version is None or version.tags.get("dataset_hash") != content:
        return None
    return f"nothing to do: {model} version {version.version}, the champion, was trained on these data ({content[:12]})"


@task(task_run_name="train {config.registry.model}", cache_policy=NO_CACHE)
def train(config: RunConfig, folder: RunFolder, mirror: Mirror, devices: dict[str, str]) -> dict[str, Any]:
    """Train where the launcher says, mirrored into MLflow; returns result.json. Continues what the folder holds.

    A training that dies (a process killed, a machine's fault) is started again from its last checkpoint, up to
    training.max_restarts times.
    """
    training, log = config.training, get_run_logger()
    with mirror.following():
        for restarts in range(training.max_restarts + 1):
            folder.result_file.unlink(missing_ok=True)
            ended = job.train(config, folder.path, devices, passed_on(log))
            result = folder.result()
            status = result.get("status", "failed")
            if status != "failed" or ended.blamed or restarts == training.max_restarts:
                break
            log.warning(
                "training died (exit code %s): restart %s of %s, from its last checkpoint",
                *(ended.code, restarts + 1, training.max_restarts),
            )
    if status == "preempted":
        raise Preempted(
            f"training was told to stop at step {result['step']} and saved a checkpoint; "
            f"go on from it with --run-dir {quote(str(folder.path))}"
        )
    if ended.code != 0 or status != "finished":
        where = f" at step {result['step']}" if "step" in result else ""
        raise failure(f"training {status}{where}", ended)
    for sentence in (result.get("note"), *result.get("collapse", [])):
        if sentence:
            log.warning("%s", sentence)
    return result


def passed_on(log: Logger | LoggerAdapter[Logger]) -> Callable[[str], None]:
    """The engine's lines as log records of their weight."""
    return lambda line: (log.warning if line.startswith("warning: ") else log.info)("%s", line)


@task(task_run_name="evaluate {config.registry.model}", cache_policy=NO_CACHE)
def evaluate(config: RunConfig, folder: RunFolder, mirror: Mirror, devices: dict[str, str]) -> dict[str, Any]:
    """Evaluate in a process of its own, which gives its memory back; returns evaluation.json."""
    try:
        champion = registry.champion_for_report(config.registry.model)
        write_json(folder.champion_file, champion)
    except Exception as error:  # whatever MLflow's trouble is, a report can do without
        log = get_run_logger()
        log.warning("the report has no champion beside it, since MLflow does not answer (%s)", reason_of(error))
    ended = run_process(evaluate_command(folder.path), passed_on(get_run_logger()), devices)
    if ended.code != 0:
        raise failure("evaluation failed", ended)
    mirror.log_results()
    return folder.evaluation()


@task(
    task_run_name="register {config.registry.model}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_condition_fn=not_bad_input,
    cache_policy=NO_CACHE,
)
def register(config: RunConfig, folder: RunFolder, mirror: Mirror, devices: dict[str, str]) -> registry.Registered:
    """A new version of the model, and its alias by the gate."""
    try:
        registered = register_run(config, folder, mirror, passed_on(get_run_logger()), devices)
    except UserError:
        raise
    except Exception as error:
        raise StageFailed(
            f"MLflow did not take the model ({reason_of(error)}); once it is back, {sync_command(folder)} registers it."
        ) from None
    get_run_logger().info(
        "%s version %s is %s: %s", config.registry.model, registered.version, registered.standing, registered.reason
    )
    return registered


def failure(what: str, ended: Ended) -> Exception:
    """UserError where the engine blamed its input, else StageFailed with the last lines."""
    if ended.blamed:
        return UserError(ended.blamed)
    return StageFailed("\n".join([f"{what} (exit code {ended.code}); its last lines:", *ended.tail]))
