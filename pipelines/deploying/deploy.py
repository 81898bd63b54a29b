"""Prefect's server brought up to date: work pools, slots, deployments, and an automation for runs that fell silent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentUpdate,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.objects import StateType
from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import ChangeFlowRunState
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from genlib.errors import UserError
from genlib.storage.files import read_json
from pipelines.deploying.deployments import GPU, LOCAL, Deployment, deployments_of
from pipelines.flows.retrain import retrain
from pipelines.flows.sample import sample
from pipelines.launching.devices import size_of
from pipelines.servers.environment import HEARTBEAT

KUBERNETES_JOB = Path(__file__).with_name("job-template.json")
KUBERNETES = "kubernetes"
CRASH_ZOMBIES = "Crash flow runs whose process is gone"
ENVIRONMENT = {  # of the flow runs that a worker starts, beside the work pool's
    "DO_NOT_TRACK": "true",
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
}


def deploy(files: Iterable[Path] = (), pool: str | None = None, slots: int | None = None) -> list[str]:
    """Make what is not there and update what is, as often as one likes; a line for each thing.

    `files` are configurations of one's own, deployed beside the shipped ones. `pool` takes all deployments in the place
    of their own pools, `slots` is how many trainings' processes the pool gpu has devices for. What was changed on the
    server stays: work pools and a deployment's own, slots that are not named, and all schedules.

    UserError, before anything is made, for a file that is no configuration.
    """
    deployments = deployments_of(files)
    with get_client(sync_client=True) as client:
        lines = [*make_pools(client), make_slots(client, slots), make_automation(client)]
        check_pool(client, pool)
        flows = {flow.name: client.create_flow(flow) for flow in (retrain, sample)}
        lines += [make_deployment(client, flows[deployment.flow], deployment, pool) for deployment in deployments]
    return lines


def make_pools(client: SyncPrefectClient) -> list[str]:
    """Make the work pools that are missing; and update the image of the pods where GENLIB_IMAGE names one."""
    process, job = ProcessWorker.get_default_base_job_template(), in_image(read_json(KUBERNETES_JOB))
    pools = (
        (LOCAL, "process", process, "Flow runs as processes of a worker's machine"),
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
    """Mark runs of these flows as crashed when their heartbeat has stopped; flows of others are left alone."""
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
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="its process is gone: the heartbeat has stopped")],
    )
    for known in there:
        client.update_automation(known.id, automation)
    if not there:
        client.create_automation(automation)
    return f"automation '{CRASH_ZOMBIES}': {'updated' if there else 'made'}"


def make_deployment(client: SyncPrefectClient, flow: UUID, deployment: Deployment, pool: str | None) -> str:
    full_name = f"{deployment.flow}/{deployment.name}"
    settings: dict[str, Any] = {
        "description": deployment.description,
        "tags": deployment.tags,
        "parameters": deployment.parameters,
        "parameter_openapi_schema": deployment.schema,
        "enforce_parameter_schema": True,
        "entrypoint": deployment.entrypoint,
        "job_variables": {"env": ENVIRONMENT, "gpus": deployment.gpus},
    }
    try:
        there = client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        pool = pool or deployment.pool
        client.create_deployment(flow, deployment.name, schedules=deployment.schedules, work_pool_name=pool, **settings)
        return f"deployment {full_name}: made"
    client.update_deployment(there.id, DeploymentUpdate(work_pool_name=pool or there.work_pool_name, **settings))
    return f"deployment {full_name}: updated"
