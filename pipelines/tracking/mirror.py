"""A run folder mirrored into MLflow while it grows. MLflow may fail at any time: the training does not notice."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any
from urllib.parse import quote

import psutil
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, LifecycleStage, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from PIL import Image

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.evaluation.estimates import baselines_of, deviations_of, floors_of, values_of
from genlib.runs.folder import RunFolder
from pipelines.servers.environment import (
    artifact_root,
    check_answers_as_mlflow,
    check_mlflow_address,
    reach_mlflow,
    reason_of,
    redacted,
)
from pipelines.tracking.ledger import Ledger, Status, begin_ledger
from pipelines.tracking.provenance import processor_name
from pipelines.tracking.queries import runs_tagged

INTERVAL = 2.0  # seconds between two looks at the run folder
METRICS_PER_BATCH, PARAMS_PER_BATCH, VALUE_LENGTH = 1000, 100, 6000  # MLflow's limits

RUN_ID = "genlib.run"  # tag of an MLflow run: the id in the ledger of its folder
UNCOMMITTED = "code/uncommitted.diff"  # artifact of a run whose checkout was not clean

Warn = Callable[[str], None]


class Mirror:
    """One MLflow run that follows one run folder. What could not be sent is sent the next time.

    Nothing is sent twice: of each metric only steps later than those that MLflow has. So the steps that a run repeats,
    having gone back to a checkpoint, are there once.
    """

    def __init__(self, folder: RunFolder, ledger: Ledger, warn: Warn) -> None:
        self.folder, self.ledger, self.warn = folder, ledger, warn
        self._client: MlflowClient | None = None
        self._offset = 0  # bytes of metrics.jsonl that MLflow has
        self._latest: dict[str, int] = {}  # steps that MLflow has come to, by metric
        self._is_new = False  # whether MLflow knows no more of the run than it has from here
        self._sampled: set[int] | None = None  # steps whose grids MLflow has; None: ask it
        self._behind = False
        self._lock = threading.Lock()

    @property
    def run_id(self) -> str:
        """The id of the MLflow run; call `connect` before."""
        assert self.ledger.run_id is not None
        return self.ledger.run_id

    def connect(self) -> MlflowClient:
        """MLflow's client, once the run is there and described; raises what MLflow raises."""
        if self._client is None:
            client = MlflowClient()
            experiment = experiment_of(client, self.ledger.model)
            end_abandoned_runs(client, experiment)
            run, self._is_new = open_run(client, experiment, self.folder, self.ledger)
            self.ledger.experiment_id, self.ledger.run_id = experiment, run.info.run_id
            describe(client, run.info.run_id, self.folder, self.ledger)
            self.ledger.write(self.folder)
            self._client = client
        return self._client

    @contextmanager
    def following(self, interval: float = INTERVAL) -> Iterator[None]:
        """Mirror in the background while the body runs, and once more at its end."""
        over = threading.Event()

        def follow() -> None:
            while not over.wait(interval):
                self.sync()

        thread = threading.Thread(target=follow, name="mlflow mirror", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=10)
            if not thread.is_alive():
                self.sync()

    def sync(self) -> None:
        """Send the metrics and sample grids that are new."""
        self._behind = not self._attempt("the run's progress", self._send_progress, silent=self._behind)

    def log_results(self) -> None:
        """Send the files that describe the finished run, and the numbers in them."""
        self._attempt("the run's results", self._send_results)

    def close(self, status: Status) -> bool:
        """Send what is missing and end the MLflow run; whether MLflow has everything."""
        self.ledger.status = status
        self.ledger.write(self.folder)

        def send() -> None:
            self._send_progress()
            self._send_results()
            self.connect().set_terminated(self.run_id, status)

        self.ledger.complete = self._attempt("all of the run", send) and self.ledger.to_register is None
        self.ledger.write(self.folder)
        if not self.ledger.complete:
            self.warn(f"once MLflow is back, send what is missing: {sync_command(self.folder)}")
        return self.ledger.complete

    def _attempt(self, what: str, send: Callable[[], None], silent: bool = False) -> bool:
        try:
            with self._lock:
                send()
        except Exception as error:  # whatever MLflow's trouble is, the training matters more
            if not silent:
                self.warn(
                    f"MLflow did not take {what} ({reason_of(error)}); the run goes on, and its folder has everything."
                )
            return False
        return True

    def _send_progress(self) -> None:
        client = self.connect()
        self._send_metrics()
        if self._sampled is None:
            images = client.list_artifacts(self.run_id, "images")
            self._sampled = {int(image.path.split("+")[2]) for image in images}
        for path in sorted(self.folder.samples.glob("step-*.png")):
            step = int(path.stem.removeprefix("step-"))
            if step not in self._sampled:
                with Image.open(path) as image:
                    client.log_image(self.run_id, image, key="samples", step=step)
                self._sampled.add(step)

    def _send_metrics(self) -> None:
        """Times are the file's, so that what is sent twice is the same twice, and MLflow keeps it once."""
        file = self.folder.metrics_file
        if not file.exists():
            return
        if file.stat().st_size < self._offset:  # a continued run went back to its checkpoint
            self._offset = 0
        with file.open("rb") as lines:
            lines.seek(self._offset)
            content = lines.read()
        whole = content[: content.rfind(b"\n") + 1]
        found = [metric for line in whole.splitlines() for metric in self._metrics_of(json.loads(line))]
        new = [metric for metric in found if metric.step > self._latest_step(metric.key)]
        self._log_metrics(new)
        for metric in new:
            self._latest[metric.key] = max(metric.step, self._latest[metric.key])
        self._offset += len(whole)

    def _latest_step(self, name: str) -> int:
        if name not in self._latest:
            known = [] if self._is_new else self.connect().get_metric_history(self.run_id, name)
            self._latest[name] = max((metric.step for metric in known), default=-1)
        return self._latest[name]

    def _metrics_of(self, line: dict[str, float]) -> list[Metric]:
        time, step = self.ledger.started + round(1000 * line["seconds"]), int(line["step"])
        return [Metric(name, value, time, step) for name, value in line.items() if name != "step"]

    def _send_results(self) -> None:
        client, folder = self.connect(), self.folder
        files = (folder.config_file, folder.metrics_file, folder.result_file, folder.evaluation_file)
        for file in (*files, folder.report_file):
            if file.exists():
                client.log_artifact(self.run_id, str(file))
        result, evaluation = folder.result(), folder.evaluation()
        numbers = values_of(evaluation)
        numbers |= {f"floor/{name}": value for name, value in floors_of(evaluation).items()}
        numbers |= {f"baseline/{name}": value for name, value in baselines_of(evaluation).items()}
        numbers |= {f"std/{name}": value for name, value in deviations_of(evaluation).items()}
        if result.get("status") == "finished":  # of an attempt that another one follows they would say little
            numbers |= {f"result/{name}": value for name, value in result.items() if is_number(value)}
        time, step = self.ledger.started + round(1000 * result.get("seconds", 0)), result.get("step", 0)
        self._log_metrics([Metric(name, value, time, step) for name, value in numbers.items()])
        if result:
            client.log_batch(self.run_id, tags=[RunTag(*tag) for tag in tags_of(result).items()])

    def _log_metrics(self, metrics: list[Metric]) -> None:
        finite = [metric for metric in metrics if math.isfinite(metric.value)]  # SQL stores would alter the others
        for first in range(0, len(finite), METRICS_PER_BATCH):
            self.connect().log_batch(self.run_id, metrics=finite[first : first + METRICS_PER_BATCH])


def sync_command(folder: RunFolder) -> str:
    return f"genlib sync {shlex.quote(str(folder.path))}"


@contextmanager
def tracked(
    config: RunConfig, dataset: DatasetFolder, folder: RunFolder, warn: Warn, tags: dict[str, str]
) -> Iterator[Mirror]:
    """The run folder's MLflow run, whose status is the truth however the body ends.

    MLflow may be away all the while: the run folder keeps what it is to know.
    """
    mirror = Mirror(folder, begin_ledger(folder, dataset, config, tags), warn)
    mirror.sync()
    status: Status = "KILLED"  # by SIGTERM, Ctrl-C, preemption: none of them is an Exception
    try:
        yield mirror
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        mirror.close(status)


def experiment_of(client: MlflowClient, name: str) -> str:
    """The id of the experiment, made if absent; UserError where someone deleted it."""
    experiment = existing_experiment(client, name)
    if experiment is not None:
        return experiment.experiment_id
    root = artifact_root()
    return client.create_experiment(name, artifact_location=root and f"{root}/{quote(name)}")


def existing_experiment(client: MlflowClient, name: str) -> Experiment | None:
    """The experiment; None where there is none yet. UserError where it was deleted: MLflow takes no runs for it."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage == LifecycleStage.DELETED:
        uri = shlex.quote(redacted(os.environ["MLFLOW_TRACKING_URI"]))
        raise UserError(
            f"the experiment {name!r} was deleted in MLflow, which takes no runs for it; restore it: "
            f"MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x {experiment.experiment_id}, or name another "
            "model: registry.model."
        )
    return experiment


def check_store(model: str) -> None:
    """UserError where MLflow would not take a run of the model; a run does not wait for a server that is away."""
    check_mlflow_address()
    try:
        reach_mlflow()
    except UserError:
        return
    check_answers_as_mlflow()
    try:
        existing_experiment(MlflowClient(), model)
    except UserError:
        raise
    except Exception as error:
        uri = os.environ["MLFLOW_TRACKING_URI"]
        if uri.startswith("sqlite"):  # a file that fails now fails after the training too
            raise UserError(f"MLflow's database ({uri}) cannot be used: {reason_of(error)}") from error


def open_run(client: MlflowClient, experiment: str, folder: RunFolder, ledger: Ledger) -> tuple[Run, bool]:
    """The MLflow run of a run folder, and whether it is new; an earlier attempt may have begun it."""
    process = psutil.Process()
    owner = {"owner.host": platform.node(), "owner.process": f"{process.pid} {process.create_time():.0f}"}
    tags = {RUN_ID: ledger.id, "run_folder": str(folder.path)} | owner
    earlier = earlier_run(client, experiment, folder, ledger)
    if earlier is not None:
        client.log_batch(earlier.info.run_id, tags=[RunTag(*tag) for tag in tags.items()])
        client.update_run(earlier.info.run_id, status="RUNNING")
        return earlier, False
    return client.create_run(experiment, start_time=ledger.started, run_name=folder.path.name, tags=tags), True


def earlier_run(client: MlflowClient, experiment: str, folder: RunFolder, ledger: Ledger) -> Run | None:
    """The MLflow run with the ledger's ids; never found by the path alone, which a deleted folder may have had."""
    if ledger.run_id is not None:
        known = run_or_none(client, ledger.run_id)
        if known and (known.info.experiment_id, known.info.lifecycle_stage) == (experiment, LifecycleStage.ACTIVE):
            return known
    begun = f"attributes.start_time = {ledger.started}"  # of runs that began before ledgers had an id
    by_id = runs_tagged(client, experiment, {RUN_ID: ledger.id})
    by_folder = runs_tagged(client, experiment, {"run_folder": str(folder.path)}, begun)
    return next(chain(by_id, by_folder), None)


def run_or_none(client: MlflowClient, run_id: str) -> Run | None:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None  # the ledger is of another MLflow server


def end_abandoned_runs(client: MlflowClient, experiment: str) -> None:
    """KILLED is the truth about runs whose process on this machine died without saying so."""
    here = {"owner.host": platform.node()}
    for run in list(runs_tagged(client, experiment, here, "attributes.status = 'RUNNING'")):
        pid, created = run.data.tags["owner.process"].split()
        try:
            alive = f"{psutil.Process(int(pid)).create_time():.0f}" == created
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            client.set_terminated(run.info.run_id, "KILLED")


def describe(client: MlflowClient, run_id: str, folder: RunFolder, ledger: Ledger) -> None:
    """Everything that is known before the first step: parameters, code, environment, data."""
    params = [Param(name, value[:VALUE_LENGTH]) for name, value in ledger.params.items()]
    for first in range(0, len(params), PARAMS_PER_BATCH):
        client.log_batch(run_id, params=params[first : first + PARAMS_PER_BATCH])
    tags = dict(ledger.tags)
    if tags["git.commit"] != "unknown":
        tags["mlflow.source.git.commit"] = tags["git.commit"]  # where MLflow's own pages look
    client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])
    dataset = DatasetInput(Dataset(**ledger.dataset), [InputTag("mlflow.data.context", "training")])
    client.log_inputs(run_id, [dataset])
    client.log_dict(run_id, ledger.manifest, "dataset/manifest.json")
    if ledger.uncommitted:
        client.log_text(run_id, ledger.uncommitted, UNCOMMITTED)


def tags_of(result: dict[str, Any]) -> dict[str, str]:
    """The words in result.json as tags of an MLflow run."""
    return {
        "result.status": result["status"],
        "device": device_of(result),
        "driver": result.get("driver", "unknown"),
        "torch": result.get("torch", "unknown"),
        "threads": threads_of(result),
        "rollbacks": str(len(result.get("rollbacks", []))),
        "collapse": "; ".join(result.get("collapse", []))[:VALUE_LENGTH] or "none",
    }


def threads_of(result: dict[str, Any]) -> str:
    """The numbers of CPU threads in result.json, such as '8', or '4 to 8'."""
    numbers = sorted({number for _, number in result.get("threads", [])})
    return " to ".join(map(str, dict.fromkeys([numbers[0], numbers[-1]]))) if numbers else "unknown"


def device_of(result: dict[str, Any]) -> str:
    """The devices in result.json, such as '2 x NVIDIA H100'."""
    name = result.get("device", "cpu")
    return f"{result.get('processes', 1)} x {processor_name() if name == 'cpu' else name}"


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
