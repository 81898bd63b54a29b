"""The pod of a flow run, as Prefect's server and its Kubernetes worker make it from the template."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from kubernetes_validate import validate
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from pipelines.deploying.deploy import ENVIRONMENT, KUBERNETES_JOB
from tests.infra.test_validation import VERSION

TEMPLATE = json.loads(KUBERNETES_JOB.read_text())


def job(**variables: Any) -> dict[str, Any]:
    """The manifest that the worker sends to Kubernetes for a flow run."""
    unasked = PrefectClient("http://127.0.0.1:1/api")  # without references to blocks there is nothing to ask for
    configuration = asyncio.run(
        KubernetesWorkerJobConfiguration.from_template_and_values(deepcopy(TEMPLATE), variables, client=unasked)
    )
    configuration.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="dcgan-cifar10"))
    manifest = configuration.job_manifest
    for misplaced in ("completions", "parallelism"):  # Prefect asks for them where Kubernetes leaves them unread
        del manifest["spec"]["template"]["spec"][misplaced]
    return manifest


def test_the_template_is_one_that_the_server_takes_for_a_work_pool() -> None:
    jsonschema.Draft202012Validator.check_schema(TEMPLATE["variables"])
    pool = WorkPoolCreate(name="kubernetes", type="kubernetes", base_job_template=TEMPLATE)
    assert pool.base_job_template == TEMPLATE


def test_the_defaults_fit_the_templates_own_schema() -> None:
    defaults = {
        name: entry["default"]
        for name, entry in TEMPLATE["variables"]["properties"].items()
        if entry.get("default") is not None
    }
    jsonschema.validate(defaults, TEMPLATE["variables"])
    with pytest.raises(jsonschema.ValidationError, match="-1 is less than the minimum"):
        jsonschema.validate(defaults | {"gpus": -1}, TEMPLATE["variables"])


def test_everything_that_prefects_own_template_has_is_still_there() -> None:
    own = KubernetesWorker.get_default_base_job_template()
    assert set(own["variables"]["properties"]) <= set(TEMPLATE["variables"]["properties"])
    assert set(own["job_configuration"]) == set(TEMPLATE["job_configuration"])


def test_a_flow_run_is_a_valid_job_with_a_gpu_shared_storage_and_no_second_try_of_its_own() -> None:
    manifest = job()
    validate(manifest, VERSION, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert manifest["metadata"]["namespace"] == "genlib"
    assert manifest["spec"]["backoffLimit"] == 0
    assert container["image"] == "genlib-cuda:latest"
    assert container["resources"]["limits"] == {"memory": "32Gi", "nvidia.com/gpu": 1}
    assert {"name": "home", "persistentVolumeClaim": {"claimName": "genlib-home"}} in pod["volumes"]
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in pod["volumes"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["GENLIB_HOME"] == "/data"
    assert environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"  # after an eviction it goes on


def test_a_run_may_ask_for_more_gpus_and_for_certain_nodes() -> None:
    manifest = job(gpus=4, node_selector={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, shared_memory="32Gi")
    validate(manifest, VERSION, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def test_a_run_without_gpus_asks_for_none() -> None:
    assert job(gpus=0)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 0


def test_a_deployments_environment_is_added_to_the_templates() -> None:
    container = job(env=ENVIRONMENT)["spec"]["template"]["spec"]["containers"][0]
    for name, value in (ENVIRONMENT | {"GENLIB_HOME": "/data"}).items():
        assert {"name": name, "value": value} in container["env"]
