"""The deployments, derived from the configurations: those that come with genlib, and files of one's own.

A schedule is off until it is switched on:

    prefect deployment schedule ls retrain/vae-digits
    prefect deployment schedule resume retrain/vae-digits SCHEDULE_ID

What is changed on the server (schedules, a deployment's work pool) stays; what stands here holds for new deployments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_schema

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.config.shipped import meaning_of, shipped
from genlib.data.sources import source_of
from pipelines.deploying.parameters import overrides_schema
from pipelines.flows.retrain import retrain
from pipelines.flows.sample import sample
from pipelines.text import slug

LOCAL = "local"  # work pool: a worker on this machine
GPU = "gpu"  # work pool: a worker for each set of GPUs; and the concurrency limit of its trainings
SCHEDULES = (
    DeploymentScheduleCreate(slug="nightly", schedule=CronSchedule(cron="0 3 * * *", timezone="UTC"), active=False),
    DeploymentScheduleCreate(
        slug="when-data-change",
        schedule=CronSchedule(cron="30 * * * *", timezone="UTC"),
        active=False,
        parameters={"only_if_data_changed": True},
    ),
)


@dataclass(frozen=True)
class Deployment:
    """One deployment of a flow, as Prefect's server is told of it."""

    flow: str
    name: str
    description: str
    tags: list[str]
    parameters: dict[str, Any]
    schema: dict[str, Any]  # of the flow's parameters
    entrypoint: str
    pool: str
    gpus: int = 0  # of a pod, where the work pool is one of Kubernetes; other pools have no use for the number
    schedules: list[DeploymentScheduleCreate] = field(default_factory=list)


def deployments_of(files: Iterable[Path] = ()) -> list[Deployment]:
    """Two deployments, of retrain and of sample, for each shipped configuration and for each of one's own files.

    A file of one's own takes the place of a shipped configuration of its name. UserError for an invalid file.
    """
    chosen = {name.replace("_", "-"): (name, file) for name, file in shipped().items()}
    shipped_files = set(shipped().values())
    for file in files:
        if file not in shipped_files:
            chosen[file.stem.replace("_", "-")] = (str(file.absolute()), file)
    return [deployment for name, asked in chosen.items() for deployment in both(name, *asked)]


def both(name: str, asked: str, file: Path) -> tuple[Deployment, Deployment]:
    """The deployments that train the configuration `asked`, and that draw from the model which these register."""
    config = load_config(file)
    tags, pool, model = tags_of(config), pool_of(config), config.registry.model
    retraining = Deployment(
        flow=retrain.name,
        name=name,
        description=meaning_of(file) or str(file),
        tags=tags,
        parameters={"config": asked},
        schema=schema_of_retrain(asked, config),
        entrypoint="pipelines.flows.retrain.retrain",
        pool=pool,
        gpus=gpus_of(config) if pool == GPU else 0,
        schedules=list(SCHEDULES),
    )
    sampling = Deployment(
        flow=sample.name,
        name=name,
        description=f"Draws from {model}",
        tags=tags,
        parameters={"model": model},
        schema=parameter_schema(sample).model_dump(),
        entrypoint="pipelines.flows.sample.sample",
        pool=pool,
    )
    return retraining, sampling


def tags_of(config: RunConfig) -> list[str]:
    """The method, the data, and the condition where there is one."""
    data = slug(Path(config.data.source).stem)
    tags = [config.method.name, f"stacked-{data}" if config.data.stacked else data]
    return tags if config.condition.name == "none" else [*tags, config.condition.name]


def pool_of(config: RunConfig) -> str:
    """The work pool of a machine without GPUs where the data are small, or no GPU is asked for."""
    return LOCAL if source_of(config.data.source).is_built_in or config.training.device == "cpu" else GPU


def gpus_of(config: RunConfig) -> int:
    return 1 if config.training.processes == "auto" else config.training.processes


def schema_of_retrain(asked: str, config: RunConfig) -> dict[str, Any]:
    """The flow's parameters, with the configuration's own keys as overrides."""
    schema: dict[str, Any] = parameter_schema(retrain).model_dump()
    schema["properties"]["config"] |= {"enum": [asked]}
    schema["properties"]["overrides"] = overrides_schema(config) | {"position": 1}
    return schema
