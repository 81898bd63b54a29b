"""What Prefect's server must know of: work pools, slots, deployments, and what marks runs whose process is gone."""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import timedelta
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import ChangeFlowRunState
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from genlib.config.load import load_config
from genlib.config.shipped import configuration_file
from genlib.errors import UserError
from genlib.runtime.provenance import PROJECT
from genlib.storage.files import read_json
from pipelines.deploying.parameters import overrides_schema
from pipelines.flows.retrain import retrain
from pipelines.flows.sample import sample
from pipelines.launching.devices import size_of
from pipelines.servers.environment import HEARTBEAT

DEPLOYMENTS = PROJECT / "infra" / "prefect.yaml"
KUBERNETES_JOB = PROJECT / "infra" / "kubernetes" / "job-template.json"
KUBERNETES = "kubernetes"
GPU = "gpu"  # a work pool, and the concurrency limit of its trainings
CRASH_ZOMBIES = "Crash flow runs whose process is gone"
ENVIRONMENT = {  # of the flow runs that a worker starts, beside the work pool's
    "DO_NOT_TRACK": "true",
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
}


def deploy(configurations: list[str], pool: str | None = None, slots: int | None = None) -> list[str]:
    """Make what is not there and update what is, as often as one likes; a line for each thing.

    `configurations` are files of one's own, deployed beside the shipped ones. `pool` takes all deployments in the place
    of their own pools, `slots` is how many trainings' processes the pool gpu has devices for. What was changed on the
    server stays: work pools and a deployment's own, slots that are not named, and all schedules.
    """
    entries = entries_of(configurations)
    schemas = {entry["name"]: schema_of_retrain(entry["parameters"]["config"]) for entry in entries}  # or UserError
    with get_client(sync_client=True) as client:
        lines = [*make_pools(client), make_slots(client, slots), make_automation(client)]
        check_pool(client, pool)
        retraining, sampling = client.create_flow(retrain), client.create_flow(sample)
        for entry in entries:
            of_both = (
                (retraining, "retrain", entry | {"gpus": gpus_of(entry)}, schemas[entry["name"]]),
                (sampling, "sample", sampling_of(entry), dict(parameter_schema(sample))),
            )
            lines += [make_deployment(client, *deployment, pool) for deployment in of_both]
    return lines


def entries_of(configurations: list[str]) -> list[dict[str, Any]]:
    """The shipped deployments, and one like them for each configuration."""
    content = yaml.safe_load(DEPLOYMENTS.read_text())
    settings, pools = content["definitions"]["settings"], content["definitions"]["pools"]
    own = []
    for name in configurations:
        file = configuration_file(name).absolute()
        config = load_config(file)
        pool = pools["local" if config.data.is_points or config.training.device == "cpu" else GPU]
        entry = {"name": file.stem.replace("_", "-"), "description": f"{file}", "tags": [config.method.name]}
        own.append(settings | entry | {"parameters": {"config": str(file)}, "work_pool": pool})
    names = [entry["name"] for entry in own]
    return [entry for entry in content["deployments"] if entry["name"] not in names] + own


def schema_of_retrain(config: str) -> dict[str, Any]:
    """The flow's parameters, with the configuration's own keys as overrides."""
    schema: dict[str, Any] = parameter_schema(retrain).model_dump()
    settings = load_config(configuration_file(config))
    schema["properties"]["config"] |= {"enum": [config]}
    schema["properties"]["overrides"] = overrides_schema(settings) | {"position": 1}
    return schema


def gpus_of(entry: dict[str, Any]) -> int:
    """Of a pod, where a deployment is in a pool of Kubernetes; other pools have no use for the number."""
    if entry["work_pool"]["name"] != GPU:
        return 0
    processes = load_config(configuration_file(entry["parameters"]["config"])).training.processes
    return 1 if processes == "auto" else processes


def sampling_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The deployment that draws from what a retraining's deployment registers."""
    model = load_config(configuration_file(entry["parameters"]["config"])).registry.model
    return {
        "name": entry["name"],
        "description": f"Draws from {model}",
        "tags": entry["tags"],
        "parameters": {"model": model},
        "work_pool": entry["work_pool"],
        "entrypoint": "pipelines.flows.sample.sample",
        "schedules": [],
        "gpus": 0,
    }


def make_pools(client: SyncPrefectClient) -> list[str]:
    """Those that are there stay, but for the image of the pods where GENLIB_IMAGE names one."""
    process, job = ProcessWorker.get_default_base_job_template(), in_image(read_json(KUBERNETES_JOB))
    pools = (
        ("local", "process", process, "Flow runs as processes of a worker's machine"),
        (GPU, "process", process, "The same where there are GPUs; a worker for each set of them"),
        (KUBERNETES, "kubernetes", job, "A pod for each flow run"),
    )
    lines = []
    for name, kind, template, description in pools:
        try:
            there = client.read_work_pool(name)
            if name == KUBERNETES and (template := in_image(there.base_job_template)) != there.base_job_template:
                client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))
                lines.append(f"work pool {name}: image updated")
            else:
                lines.append(f"work pool {name}: kept")
        except ObjectNotFound:
            client.create_work_pool(
                WorkPoolCreate(name=name, type=kind, base_job_template=template, description=description)
            )
            lines.append(f"work pool {name}: made")
    return lines


def in_image(template: dict[str, Any]) -> dict[str, Any]:
    """A job template with GENLIB_IMAGE and GENLIB_IMAGE_DIGEST, where they are set, as the defaults of its pods."""
    template = deepcopy(template)
    variables = template.get("variables", {}).get("properties", {})
    if image := os.environ.get("GENLIB_IMAGE"):
        variables["image"] = variables.get("image", {}) | {"default": image}
    if digest := os.environ.get("GENLIB_IMAGE_DIGEST"):
        known = variables.get("env", {})
        variables["env"] = known | {"default": (known.get("default") or {}) | {"GENLIB_IMAGE_DIGEST": digest}}
    return template


def check_pool(client: SyncPrefectClient, pool: str | None) -> None:
    try:
        if pool:
            client.read_work_pool(pool)
    except ObjectNotFound as error:
        raise UserError(f"work pool '{pool}' is not there; prefect work-pool ls shows those that are.") from error


def make_slots(client: SyncPrefectClient, slots: int | None) -> str:
    there = size_of(GPU)
    if there is None:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU, limit=slots or 1))
    elif slots and slots != there:
        client.update_global_concurrency_limit(GPU, GlobalConcurrencyLimitUpdate(limit=slots))
    return f"concurrency limit {GPU}: {slots or there or 1} slots"


def make_automation(client: SyncPrefectClient) -> str:
    """Runs of these flows that were heard of and then fell silent are marked as crashed; others have other hearts."""
    ended = ("Completed", "Failed", "Cancelled", "Crashed")
    between = ("AwaitingRetry", "Pending")  # an evicted pod's run waits for another one
    there = client.read_automations_by_name(CRASH_ZOMBIES)
    automation = AutomationCore(
        name=CRASH_ZOMBIES,
        description=f"{3 * HEARTBEAT} seconds after the last heartbeat of a run that has not ended",
        enabled=all(known.enabled for known in there),
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in ended + between)},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "flow", "prefect.resource.name": [retrain.name, sample.name]}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=3 * HEARTBEAT),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="its process is gone: no heartbeat any more")],
    )
    for known in there:
        client.update_automation(known.id, automation)
    if not there:
        client.create_automation(automation)
    return f"automation '{CRASH_ZOMBIES}': {'updated' if there else 'made'}"


def make_deployment(
    client: SyncPrefectClient,
    flow: UUID,
    flow_name: str,
    entry: dict[str, Any],
    schema: dict[str, Any],
    pool: str | None,
) -> str:
    full_name = f"{flow_name}/{entry['name']}"
    settings = {
        "description": entry["description"],
        "tags": entry["tags"],
        "parameters": entry["parameters"],
        "parameter_openapi_schema": schema,
        "enforce_parameter_schema": True,
        "entrypoint": entry["entrypoint"],
        "job_variables": {"env": ENVIRONMENT, "gpus": entry["gpus"]},
    }
    try:
        there = client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        new = [DeploymentScheduleCreate(**schedule_of(schedule)) for schedule in entry["schedules"]]
        of_its_own = entry["work_pool"]["name"]
        client.create_deployment(flow, entry["name"], schedules=new, work_pool_name=pool or of_its_own, **settings)
        return f"deployment {full_name}: made"
    client.update_deployment(there.id, DeploymentUpdate(work_pool_name=pool or there.work_pool_name, **settings))
    return f"deployment {full_name}: updated"


def schedule_of(entry: dict[str, Any]) -> dict[str, Any]:
    """A schedule of infra/prefect.yaml as Prefect's API has it."""
    rest = {key: value for key, value in entry.items() if key not in ("cron", "timezone")}
    return rest | {"schedule": CronSchedule(cron=entry["cron"], timezone=entry["timezone"])}
