"""The flow: prepare, train, evaluate, register, with one MLflow run over it all."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from genlib.config import RunConfig
from genlib.errors import UserError
from genlib.evaluation.measures import floors_of, values_of
from genlib.home import runs_folder
from genlib.locks import held
from genlib.training.run_folder import RunFolder
from pipelines import environment, tasks
from pipelines.links import run_page, version_page
from pipelines.sync import PIPELINE
from pipelines.tracking import tracked


class WithoutTraceback(logging.Filter):
    """Errors that say what to do need no traceback; Prefect logs one with every exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], UserError | tasks.StageFailed):
            record.exc_info = None
        return True


for name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(name).addFilter(WithoutTraceback())


@flow(name="retrain", flow_run_name="{config.registry.model}")
def retrain(config: RunConfig, run_dir: str | None = None) -> dict[str, Any]:
    """Take a configuration's dataset to a trained, evaluated, gated and registered model; returns what came out.

    With `run_dir` it goes on with that run folder, from its last checkpoint and in its MLflow run. A folder of its own
    is named by the flow run, so that one that was cut off and runs again goes on too.
    """
    environment.configure()
    model = config.registry.model
    folder = RunFolder(run_dir or runs_folder() / f"{model}-{runtime.flow_run.id}")
    folder.make()
    seconds: dict[str, float] = {}
    with held(folder.path, PIPELINE):
        with timed(seconds, "prepare"):
            dataset = tasks.prepare(config)
        tags = {"prefect.flow_run_id": str(runtime.flow_run.id)}
        with tracked(config, dataset, folder, get_run_logger().warning, tags) as mirror:
            # Called, not submitted: SIGTERM reaches the main thread only, which must be the one that holds the process.
            with timed(seconds, "train"):
                result = tasks.train(config, folder, mirror)
            with timed(seconds, "evaluate"):
                evaluation = tasks.evaluate(config, folder, mirror)
            with timed(seconds, "register"):
                registered = tasks.register(config, folder, mirror)
    mlflow_run = run_page(str(mirror.ledger.experiment_id), mirror.run_id)
    grids = sorted(folder.samples.glob("step-*.png"))
    summary = {
        "model": model,
        **registered._asdict(),
        "metric": config.registry.metric,
        "metrics": values_of(evaluation),
        "std": {name: entry["std"] for name, entry in evaluation["metrics"].items()},
        "floor": floors_of(evaluation),
        "images_per_second": result["images_per_second"],
        "seconds": seconds,
        "run_folder": str(folder.path),
        "samples": str(grids[-1]) if grids else None,
        "mlflow_run": mlflow_run,
        "mlflow_version": version_page(model, registered.version),
        "report": f"{mlflow_run}/artifacts/{folder.report_file.name}",
    }
    publish(summary)
    return summary


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - begun, 1)


def publish(summary: dict[str, Any]) -> None:
    """The result on the flow run's page: a table of the metrics and their floors, the gate's decision, and links."""
    key = re.sub(r"[^a-z0-9]+", "-", summary["model"].lower()).strip("-")
    floor = summary["floor"]
    create_table_artifact(
        key=f"{key}-result",
        table=[
            {"metric": name, "value": value, "± over seeds": summary["std"][name], "real-data floor": floor.get(name)}
            for name, value in summary["metrics"].items()
        ],
        description=(
            f"**{summary['model']} version {summary['version']}** is **{summary['alias']}**: {summary['reason']}\n\n"
            f"[Report]({summary['report']}) · [MLflow run]({summary['mlflow_run']}) · "
            f"[version]({summary['mlflow_version']})\n\n"
            f"{summary['images_per_second']:,.0f} images/s; "
            + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary["seconds"].items())
            + f"\n\nRun folder `{summary['run_folder']}`, newest samples `{summary['samples']}`"
        ),
    )
    create_markdown_artifact(key=f"{key}-gate", markdown=summary["decision"])
    create_link_artifact(key=f"{key}-report", link=summary["report"], link_text=f"Report on {summary['model']}")
    create_link_artifact(key=f"{key}-mlflow-run", link=summary["mlflow_run"], link_text=f"{summary['model']} in MLflow")
    create_link_artifact(
        key=f"{key}-version",
        link=summary["mlflow_version"],
        link_text=f"{summary['model']} version {summary['version']} in MLflow",
    )
