"""A TrainJob of Kubeflow Trainer v2, by the official client: created, followed by its conditions and the first pod's
log, and cancelled by deleting it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from genlib.errors import UserError
from genlib.storage.home import home
from pipelines.launching import remote
from pipelines.launching.job import ELASTIC, Job
from pipelines.launching.remote import JobState, NoAnswer

if TYPE_CHECKING:
    from pipelines.launchers.kubernetes import KubernetesLauncher

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
NODE = "node"  # what the runtime calls the job, and the container, that trains
PORT = 29500
PATIENCE = 180.0  # seconds for a TrainJob's pods to be deleted
RECENT = 300  # seconds of a log that are asked for again, lest a line be missed


def check_mounted(launcher: KubernetesLauncher, job: Job) -> None:
    """UserError where pods would not find the run folder or the data."""
    for what, path in (("GENLIB_HOME", home()), ("the run folder", job.run_dir)):
        if not path.is_relative_to(launcher.mount_path):
            raise UserError(
                f"{what} ({path}) does not lie under launcher.mount_path ({launcher.mount_path}), where the pods have "
                f"the claim {launcher.claim}; mount it here at the same path, and set GENLIB_HOME to a folder of it."
            )


def rendered(launcher: KubernetesLauncher, job: Job) -> dict[str, Any]:
    """The TrainJob; its nodes meet at the first."""
    limits = {"nvidia.com/gpu": launcher.gpus or None, "cpu": launcher.cpu, "memory": launcher.memory}
    limits = {name: str(value) for name, value in limits.items() if value is not None}
    environment = {"GENLIB_HOME": str(home()), "PYTHONUNBUFFERED": "1"} | ELASTIC
    pod = {
        "nodeSelector": launcher.node_selector,
        "volumes": [
            {"name": "genlib", "persistentVolumeClaim": {"claimName": launcher.claim}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": launcher.shared_memory}},
        ],
        "containers": [
            {
                "name": NODE,
                "volumeMounts": [
                    {"name": "genlib", "mountPath": launcher.mount_path},
                    {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - the pod's own
                ],
            }
        ],
    }
    job_template = {"spec": {"template": {"spec": pod}}}
    job_set = {"spec": {"replicatedJobs": [{"name": NODE, "template": job_template}]}}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {
            "name": job.name,
            "namespace": launcher.namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "genlib",
                **({"kueue.x-k8s.io/queue-name": launcher.queue} if launcher.queue else {}),
            },
        },
        "spec": {
            "runtimeRef": {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": launcher.runtime},
            "trainer": {
                "image": launcher.image,
                "command": ["python"],
                "args": job.node(f"{job.name}-{NODE}-0-0.{job.name}:{PORT}", launcher.restarts),
                "env": [{"name": name, "value": value} for name, value in environment.items()],
                "numNodes": launcher.nodes,
                "numProcPerNode": job.processes_per_node,
                "resourcesPerNode": {"limits": limits, "requests": limits},
            },
            "runtimePatches": [{"manager": "genlib.pipelines/launcher", "trainingRuntimeSpec": {"template": job_set}}],
        },
    }


class TrainJob:
    def __init__(self, launcher: KubernetesLauncher, job: Job) -> None:
        try:
            from kubernetes import client, config
            from kubernetes.config import ConfigException
        except ImportError as error:
            raise UserError(
                "launcher.name is kubernetes, whose client is not installed; pip install 'genlib[kubernetes]'."
            ) from error
        try:
            config.load_config()  # a pod's own rights, or else KUBECONFIG
        except ConfigException as error:
            raise UserError(
                f"launcher.name is kubernetes, but no cluster is known here ({error}); set KUBECONFIG."
            ) from error
        self.launcher, self.job, self.namespace = launcher, job, launcher.namespace
        self.error = client.ApiException
        self.objects: Any = client.CustomObjectsApi()
        self.pods: Any = client.CoreV1Api()
        self.seen = ""  # the newest time stamp in the log
        self.of_kind = {"group": GROUP, "version": VERSION, "namespace": self.namespace, "plural": PLURAL}

    def submit(self) -> str:
        """A TrainJob of that name which goes on is one that a flow which was killed left behind: ours to follow."""
        try:
            there = self._state()
            if there is not None and there.code is not None:
                self.cancel()
                self._wait_until_gone()
            if there is None or there.code is not None:
                self._create()
        except NoAnswer as error:
            raise UserError(f"Kubernetes did not take the TrainJob {self.job.name}: {error}.") from error
        return f"TrainJob {self.namespace}/{self.job.name}"

    def _wait_until_gone(self) -> None:
        """Deleting takes as long as its pods do."""
        until = time.monotonic() + PATIENCE
        while self._state() is not None:
            if time.monotonic() > until:
                raise NoAnswer(f"it has been deleting the former one for {PATIENCE:.0f} s")
            time.sleep(remote.INTERVAL)

    def _create(self) -> None:
        content = rendered(self.launcher, self.job)
        self.job.config_file.with_name("trainjob.json").write_text(json.dumps(content, indent=2))
        self._asked(lambda: self.objects.create_namespaced_custom_object(**self.of_kind, body=content))

    def state(self) -> JobState:
        return self._state() or JobState("gone", 143)

    def _state(self) -> JobState | None:
        found: dict[str, Any] | None = self._asked(
            lambda: self.objects.get_namespaced_custom_object(**self.of_kind, name=self.job.name)
        )
        if found is None:
            return None
        status = found.get("status", {})
        holds = {entry["type"]: entry for entry in status.get("conditions", []) if entry["status"] == "True"}
        if "Complete" in holds:
            return JobState("complete", 0)
        if "Failed" in holds:
            return JobState(f"failed ({holds['Failed'].get('message', 'no reason given')})", 1)
        active = sum(entry.get("active", 0) for entry in status.get("jobsStatus", []))
        return JobState("suspended" if "Suspended" in holds else "running" if active else "waiting for its pods")

    def lines(self) -> Iterator[str]:
        for pod in self._first_pods():
            log: str | None = self._asked(
                partial(
                    self.pods.read_namespaced_pod_log,
                    *(pod, self.namespace),
                    container=NODE,
                    timestamps=True,
                    since_seconds=RECENT,
                )
            )
            for line in (log or "").splitlines():
                when, _, said = line.partition(" ")
                if when > self.seen:
                    self.seen = when
                    yield said

    def _first_pods(self) -> list[str]:
        """The names of the first node's pods that have begun, oldest first; several where one was evicted."""
        chosen = f"jobset.sigs.k8s.io/jobset-name={self.job.name},batch.kubernetes.io/job-completion-index=0"
        found = self._asked(lambda: self.pods.list_namespaced_pod(self.namespace, label_selector=chosen))
        begun = [pod for pod in (found.items if found else []) if pod.status.phase != "Pending"]
        return [pod.metadata.name for pod in sorted(begun, key=lambda pod: pod.metadata.creation_timestamp)]

    def cancel(self) -> None:
        """Delete the TrainJob, whose pods then have 30 s to end."""
        self._asked(
            lambda: self.objects.delete_namespaced_custom_object(
                **self.of_kind, name=self.job.name, propagation_policy="Foreground"
            )
        )

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """The answer of Kubernetes; None where there is no such object. Raises NoAnswer."""
        from urllib3.exceptions import HTTPError

        try:
            return ask()
        except self.error as error:
            if error.status == 404:
                return None
            raise NoAnswer(reason_of(error)) from error
        except HTTPError as error:
            raise NoAnswer(str(error)) from error


def reason_of(error: Any) -> str:
    """The server's own sentence."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
