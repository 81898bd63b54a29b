"""A run folder mirrored into MLflow while it grows. MLflow may fail at any time: the training does not notice."""

from __future__ import annotations

import json
import math
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from PIL import Image

from genlib.config import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.evaluation.measures import floors_of, values_of
from genlib.provenance import git_state
from genlib.training.run_folder import RunFolder, flatten
from pipelines.environment import artifact_root
from pipelines.provenance import constraints_hash, processor_name

INTERVAL = 2.0  # seconds between two looks at the run folder
METRICS_PER_BATCH, PARAMS_PER_BATCH, VALUE_LENGTH, DIGEST_LENGTH = 1000, 100, 6000, 36  # MLflow's limits

Warn = Callable[[str], None]


class Mirror:
    """One MLflow run that follows one run folder. What could not be sent is sent the next time."""

    def __init__(self, client: MlflowClient, run: Run, folder: RunFolder, warn: Warn) -> None:
        self.client, self.folder, self.warn = client, folder, warn
        self.run_id, self.experiment_id = run.info.run_id, run.info.experiment_id
        self._start = run.info.start_time  # milliseconds
        self._offset = 0  # bytes of metrics.jsonl that MLflow has
        self._sampled: set[int] | None = None  # steps whose grids MLflow has; None: ask it
        self._behind = False

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

    def close(self, status: str) -> None:
        """Send what is missing and end the MLflow run as FINISHED, FAILED or KILLED."""
        self._attempt("all of the run's progress", self._send_progress)
        self.log_results()
        self._attempt(f"the run's status {status}", lambda: self.client.set_terminated(self.run_id, status))

    def _attempt(self, what: str, send: Callable[[], None], silent: bool = False) -> bool:
        try:
            send()
        except Exception as error:  # whatever MLflow's trouble is, the training matters more
            if not silent:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                self.warn(f"MLflow did not take {what} ({reason}); the run goes on, and its folder has everything.")
            return False
        return True

    def _send_progress(self) -> None:
        self._send_metrics()
        if self._sampled is None:
            images = self.client.list_artifacts(self.run_id, "images")
            self._sampled = {int(image.path.split("+")[2]) for image in images}
        for path in sorted(self.folder.samples.glob("step-*.png")):
            step = int(path.stem.removeprefix("step-"))
            if step not in self._sampled:
                with Image.open(path) as image:
                    self.client.log_image(self.run_id, image, key="samples", step=step)
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
        self._log_metrics([metric for line in whole.splitlines() for metric in self._metrics_of(json.loads(line))])
        self._offset += len(whole)

    def _metrics_of(self, line: dict[str, float]) -> list[Metric]:
        time, step = self._start + round(1000 * line["seconds"]), int(line["step"])
        return [Metric(name, value, time, step) for name, value in line.items() if name != "step"]

    def _send_results(self) -> None:
        folder = self.folder
        for file in (folder.config_file, folder.result_file, folder.evaluation_file, folder.report_file):
            if file.exists():
                self.client.log_artifact(self.run_id, str(file))
        result, evaluation = folder.result(), folder.evaluation()
        numbers = {f"result/{name}": value for name, value in result.items() if is_number(value)}
        numbers |= values_of(evaluation)
        numbers |= {f"floor/{name}": value for name, value in floors_of(evaluation).items()}
        entries = evaluation.get("metrics", {}).items()
        numbers |= {f"std/{name}": entry["std"] for name, entry in entries if entry["std"] is not None}
        time, step = self._start + round(1000 * result.get("seconds", 0)), result.get("step", 0)
        self._log_metrics([Metric(name, value, time, step) for name, value in numbers.items()])
        if result:
            self.client.set_tag(self.run_id, "result.status", result["status"])
            self.client.set_tag(self.run_id, "device", device_of(result))

    def _log_metrics(self, metrics: list[Metric]) -> None:
        finite = [metric for metric in metrics if math.isfinite(metric.value)]  # SQL stores would alter the others
        for first in range(0, len(finite), METRICS_PER_BATCH):
            self.client.log_batch(self.run_id, metrics=finite[first : first + METRICS_PER_BATCH])


@contextmanager
def tracked(config: RunConfig, dataset: DatasetFolder, folder: RunFolder, warn: Warn) -> Iterator[Mirror]:
    """The run folder's MLflow run, whose status is the truth however the body ends."""
    client = MlflowClient()
    experiment = experiment_of(client, config.registry.model)
    end_abandoned_runs(client, experiment)
    run = open_run(client, experiment, folder)
    mirror = Mirror(client, run, folder, warn)
    status = "KILLED"  # by SIGTERM, Ctrl-C, preemption: none of them is an Exception
    try:
        describe(client, run.info.run_id, config, dataset)
        yield mirror
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        mirror.close(status)


def experiment_of(client: MlflowClient, name: str) -> str:
    """The id of the experiment, made if absent."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return experiment.experiment_id
    root = artifact_root()
    return client.create_experiment(name, artifact_location=root and f"{root}/{name}")


def open_run(client: MlflowClient, experiment: str, folder: RunFolder) -> Run:
    """The MLflow run of a run folder: new, or the one that an earlier attempt began."""
    process = psutil.Process()
    owner = {"owner.host": platform.node(), "owner.process": f"{process.pid} {process.create_time():.0f}"}
    earlier = client.search_runs([experiment], filter_string=f"tags.run_folder = '{folder.path}'", max_results=1)
    if earlier:
        run = earlier[0]
        client.log_batch(run.info.run_id, tags=[RunTag(*tag) for tag in owner.items()])
        client.update_run(run.info.run_id, status="RUNNING")
        return run
    tags = {"run_folder": str(folder.path)} | owner
    return client.create_run(experiment, run_name=folder.path.name, tags=tags)


def end_abandoned_runs(client: MlflowClient, experiment: str) -> None:
    """KILLED is the truth about runs whose process on this machine died without saying so."""
    filter_string = f"attributes.status = 'RUNNING' and tags.`owner.host` = '{platform.node()}'"
    for run in client.search_runs([experiment], filter_string=filter_string):
        pid, created = run.data.tags["owner.process"].split()
        try:
            alive = f"{psutil.Process(int(pid)).create_time():.0f}" == created
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            client.set_terminated(run.info.run_id, "KILLED")


def describe(client: MlflowClient, run_id: str, config: RunConfig, dataset: DatasetFolder) -> None:
    """Everything that is known before the first step: parameters, code, environment, data."""
    values = flatten(config.model_dump(mode="json"))
    params = [Param(name, str(value)[:VALUE_LENGTH]) for name, value in values.items()]
    for first in range(0, len(params), PARAMS_PER_BATCH):
        client.log_batch(run_id, params=params[first : first + PARAMS_PER_BATCH])
    tags = {**git_state(), "constraints_hash": constraints_hash(), "dataset_hash": dataset.manifest.content_hash}
    if tags["git.commit"] != "unknown":
        tags["mlflow.source.git.commit"] = tags["git.commit"]  # where MLflow's own pages look
    client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])
    client.log_inputs(run_id, [dataset_input(dataset)])
    client.log_artifact(run_id, str(dataset.path / "manifest.json"), "dataset")


def dataset_input(dataset: DatasetFolder) -> DatasetInput:
    """The dataset folder as MLflow knows datasets; its digest is the start of the content hash."""
    manifest = dataset.manifest
    entity = Dataset(
        name=Path(manifest.source).name,
        digest=manifest.content_hash[:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": str(dataset.path), "made_from": manifest.source, "revision": manifest.revision}),
        profile=json.dumps({"counts": manifest.counts, "shape": manifest.shape, "content_hash": manifest.content_hash}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def device_of(result: dict[str, Any]) -> str:
    """Such as '2 x NVIDIA H100', from result.json."""
    name = result.get("device", "cpu")
    return f"{result.get('processes', 1)} x {processor_name() if name == 'cpu' else name}"


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
