"""The flow: prepare, train, evaluate, register, with one MLflow run over it all."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.states import Completed

from genlib.config.load import load_config
from genlib.errors import UserError
from genlib.evaluation.estimates import baselines_of, floors_of, values_of
from genlib.evaluation.preflight import check_weights
from genlib.storage.home import runs_folder
from pipelines.flows import tasks
from pipelines.flows.folders import run_folder
from pipelines.launching.devices import devices_for
from pipelines.registry.versions import standing
from pipelines.servers import environment
from pipelines.text import slug
from pipelines.tracking.links import run_page, version_page
from pipelines.tracking.mirror import check_store, tracked


class WithoutTraceback(logging.Filter):
    """Errors that say what to do need no traceback; Prefect logs one with every exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], UserError | tasks.StageFailed):
            record.exc_info = None
        return True


for name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(name).addFilter(WithoutTraceback())


def model_name() -> str:
    """The flow run's name: the configuration's."""
    return Path(str(runtime.flow_run.parameters["config"])).stem.replace("_", "-")


@flow(name="retrain", flow_run_name=model_name)
def retrain(
    config: str,
    overrides: dict[str, Any] | None = None,
    run_dir: str | None = None,
    resume: bool = True,
    only_if_data_changed: bool = False,
) -> dict[str, Any]:
    """Take a configuration's dataset to a trained, evaluated, gated and registered model; returns what came out.

    Args:
        config: Name of a shipped configuration, such as vae_digits, or the path of a YAML file.
        overrides: What differs from it, by dotted key: {"training.steps": 2000}.
        run_dir: Go on with this run folder, from its last checkpoint and in its MLflow run.
        resume: Go on with the newest run of the same configuration, data and code that was cut off, if there is one.
        only_if_data_changed: Finish at once where the champion was trained on the data as they are now.
    """
    environment.configure(by_worker=bool(runtime.deployment.id))
    settings = load_config(config, overrides or {})
    check_weights(settings.evaluation)
    check_store(settings.registry.model)
    log = get_run_logger()
    seconds: dict[str, float] = {}
    with timed(seconds, "prepare"):
        dataset = tasks.prepare(settings)
    if only_if_data_changed and (unchanged := tasks.champion_of(settings, dataset)):
        log.info("%s", unchanged)
        return Completed(message=unchanged, data={"unchanged": unchanged})  # type: ignore[return-value]
    own = runs_folder() / f"{settings.registry.model}-{runtime.flow_run.id}"
    with run_folder(run_dir, own, settings, dataset, resume, log.info) as folder:
        tags = {"prefect.flow_run_id": str(runtime.flow_run.id)}
        with (
            tracked(settings, dataset, folder, log.warning, tags) as mirror,
            devices_for(settings) as devices,
        ):
            # Called, not submitted: SIGTERM reaches the main thread only, which must be the one that holds the process.
            with timed(seconds, "train"):
                result = tasks.train(settings, folder, mirror, devices)
            with timed(seconds, "evaluate"):
                evaluation = tasks.evaluate(settings, folder, mirror, devices)
            with timed(seconds, "register"):
                registered = tasks.register(settings, folder, mirror, devices)
    mlflow_run = run_page(str(mirror.ledger.experiment_id), mirror.run_id)
    grids = sorted(folder.samples.glob("step-*.png"))
    summary = {
        "model": settings.registry.model,
        **registered._asdict(),
        "metric": settings.registry.metric,
        "metrics": values_of(evaluation),
        "std": {name: entry["std"] for name, entry in evaluation["metrics"].items()},
        "floor": floors_of(evaluation),
        "baseline": baselines_of(evaluation),
        "images_per_second": result["images_per_second"],
        "seconds": seconds,
        "run_folder": str(folder.path),
        "samples": str(grids[-1]) if grids else None,
        "mlflow_run": mlflow_run,
        "mlflow_version": version_page(settings.registry.model, registered.version),
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
    """The result on the flow run's page: a table of the metrics with floors and baselines, the gate's decision, and
    links.
    """
    key = slug(summary["model"])
    floor, baseline = summary["floor"], summary["baseline"]
    create_table_artifact(
        key=f"{key}-result",
        table=[
            {
                "metric": name,
                "value": value,
                "± over seeds": summary["std"][name],
                "real-data floor": floor.get(name),
                "baseline": baseline.get(name),
            }
            for name, value in summary["metrics"].items()
        ],
        description=(
            f"**{summary['model']} version {summary['version']}** is **{standing(summary['alias'])}**: "
            f"{summary['reason']}\n\n"
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
