"""What launchers hand to their schedulers, and which processes a training has."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.errors import UserError
from genlib.runs.folder import RunFolder, identity
from pipelines.launching import job, kubernetes, remote, slurm
from pipelines.launching.job import Job, processes_here, processes_of
from tests.conftest import FILES

TORCHRUN = "launcher={name: torchrun, nodes: 2, endpoint: 'head:29400'}"
SLURM = "launcher={name: slurm, nodes: 2, gpus: 4, hours: 1.5, setup: [module load cuda], options: [--qos=night]}"
CLUSTER = "launcher={name: kubernetes, nodes: 2, gpus: 4, image: genlib:1, claim: shared, mount_path: MOUNT, "
CLUSTER += "queue: nights, node_selector: {gpu: h100}, memory: 64Gi}"


def config_with(*overrides: str) -> RunConfig:
    return load_config(FILES["vae"], overrides)


def job_of(config: RunConfig, folder: Path) -> Job:
    return Job(config, folder / "launch" / "config.yaml", folder / "My run", processes_of(config), {})


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """So many are visible here."""

    def visible(count: int) -> None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return visible


def test_auto_is_a_process_for_each_visible_gpu_of_every_node_or_one_a_node(gpus, monkeypatch) -> None:
    gpus(0)
    assert processes_of(config_with("training.processes=auto")) == 1
    assert processes_of(config_with("training.processes=auto", TORCHRUN)) == 2
    gpus(4)
    assert processes_of(config_with("training.processes=auto")) == 4
    assert processes_of(config_with("training.processes=auto", "training.device=cpu")) == 1
    assert processes_of(config_with("training.processes=auto", TORCHRUN)) == 8
    assert processes_here(config_with("training.processes=auto", TORCHRUN)) == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert processes_of(config_with("training.processes=auto")) == 2
    assert processes_of(config_with("training.processes=auto", SLURM)) == 8, "this machine's devices do not count"
    assert processes_of(config_with("training.processes=1")) == 1


def test_auto_that_does_not_share_out_the_batch_is_refused_in_one_line(gpus) -> None:
    gpus(3)
    with pytest.raises(UserError, match=r"auto, which is 3 here: .*batch_size \(128\).*use 126") as error:
        processes_of(config_with("training.processes=auto"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.processes=several", "'several' must be a whole number from 1 to 100000, or auto"),
        ("training.processes=0", "0 must be a whole number from 1 to 100000, or auto"),
        ("launcher.name=slrm", "did you mean 'slurm'?"),
        ("launcher={name: slurm, image: x}", "'launcher.image', which is one of kubernetes and not of slurm"),
        ("launcher={name: process, nodes: 2}", "'launcher.nodes', which is one of kubernetes, slurm, torchrun and not"),
        ("launcher.name=torchrun", "'launcher.endpoint' is missing"),
        ("launcher={name: torchrun, endpoint: head}", "launcher.endpoint is 'head', but string should match"),
        ("launcher={name: slurm, options: [qos]}", "launcher.options.0 is 'qos', but string should match"),
    ],
)
def test_a_wrong_launcher_is_refused_in_one_line(override: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        config_with(override)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_run_may_go_on_with_another_launcher_and_number_of_processes() -> None:
    assert identity(config_with()) == identity(config_with("training.processes=auto", SLURM))


def test_slurms_script_is_one_that_the_shell_reads(tmp_path: Path) -> None:
    asked = config_with("training.processes=auto", SLURM)
    job = job_of(asked, tmp_path)
    script = slurm.rendered(asked.launcher, job)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    header, _, body = script.partition("module load cuda")
    for line in ("nodes=2", "gpus-per-node=4", "time=90", "qos=night", "requeue", "signal=B:USR1@300"):
        assert f"#SBATCH --{line}\n" in header
    assert f"--job-name={job.name}\n" in header and job.name.startswith("genlib-my-run-") and "partition" not in header
    assert '--nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint "$head:$port"' in body
    assert f"--run-dir '{job.run_dir}'" in body


def test_a_missing_slurm_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="launcher.name is slurm, but squeue is not installed here"):
        job.train(config_with("launcher.name=slurm"), tmp_path / "run", {}, print)


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunConfig:
    """A configuration for Kubernetes whose volume is `tmp_path`, with GENLIB_HOME on it."""
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path / "home"))
    return config_with("training.processes=auto", CLUSTER.replace("MOUNT", str(tmp_path)))


def test_the_train_job_is_one_of_the_published_schema(mounted: RunConfig, tmp_path: Path) -> None:
    content = kubernetes.rendered(mounted.launcher, job_of(mounted, tmp_path))
    read = TrainerV1alpha1TrainJob.from_dict(content)
    assert read is not None and read.to_dict() == content, "every key is one that the schema has"
    trainer, (patch,) = content["spec"]["trainer"], content["spec"]["runtimePatches"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 4)
    assert trainer["resourcesPerNode"]["limits"] == {"nvidia.com/gpu": "4", "memory": "64Gi"}
    assert content["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "nights"
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = replicated["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"gpu": "h100"}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"genlib": str(tmp_path), "shared-memory": "/dev/shm"}


def test_a_run_folder_that_pods_would_not_see_is_refused(mounted: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"the run folder \(/elsewhere/.*does not lie under launcher.mount_path"):
        kubernetes.check_mounted(mounted.launcher, job_of(mounted, Path("/elsewhere")))


class Cluster(ThreadingHTTPServer):
    """As much of a Kubernetes API server as the launcher speaks to; TrainJobs are read by the published schema."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.log: list[str] = []
        self.deleted: list[str] = []
        self.going: dict[str, int] = {}  # how many more questions find what is being deleted
        self.conditions: list[dict[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].split("/")
        if "trainjobs" in parts:
            if parts[-1] in self.server.going:
                self.server.going[parts[-1]] -= 1
                if not self.server.going[parts[-1]]:
                    self.server.jobs.pop(parts[-1])
            found = self.server.jobs.get(parts[-1])
            self.answer(200 if found else 404, {**(found or {}), "status": {"conditions": self.server.conditions}})
        elif parts[-1] == "log":
            self.answer(200, "\n".join(self.server.log))
        else:
            pod = {"metadata": {"name": "pod", "creationTimestamp": "2026-01-01T00:00:00Z"}}
            self.answer(200, {"items": [pod | {"status": {"phase": "Running"}}]})

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        TrainerV1alpha1TrainJob.from_dict(content)
        if content["metadata"]["name"] in self.server.jobs:
            return self.answer(409, {"message": "it already exists"})
        self.server.jobs[content["metadata"]["name"]] = content
        self.answer(201, content)

    def do_DELETE(self) -> None:
        name = self.path.partition("?")[0].split("/")[-1]
        self.server.deleted.append(name)
        self.server.going[name] = 3  # in the foreground: its pods end first
        self.answer(200, {})

    def answer(self, code: int, content: object) -> None:
        body = content if isinstance(content, str) else json.dumps(content)
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with Cluster() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        named = {"name": "test"}
        settings = {
            "clusters": [named | {"cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [named | {"user": {}}],
            "contexts": [named | {"context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(settings))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        for module in ("kubernetes.config", "kubernetes.config.kube_config"):  # each read KUBECONFIG at its import
            monkeypatch.setattr(f"{module}.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        monkeypatch.setattr(remote, "INTERVAL", 0.01)
        yield server
        server.shutdown()


def test_a_train_job_is_created_followed_to_its_end_and_its_lines_told_once(
    cluster: Cluster, mounted: RunConfig, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "home" / "runs" / "one")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "waiting for its pods" in line:
            cluster.log += ["2026-01-01T00:00:00.1Z training", "2026-01-01T00:00:00.2Z error: no batch"]
        if line == "error: no batch":
            cluster.conditions = [{"type": "Failed", "status": "True", "message": "one pod failed"}]

    ended = job.train(mounted, run.path, {}, say)
    assert (ended.code, ended.blamed) == (1, "no batch")
    assert said.count("training") == said.count("error: no batch") == 1
    name = job_of(mounted, run.path)._replace(run_dir=run.path).name
    assert said[-1] == f"TrainJob default/{name} is failed (one pod failed)"
    assert json.loads((run.launch / "trainjob.json").read_text()) == cluster.jobs[name]

    cluster.conditions = [{"type": "Complete", "status": "True"}]
    assert job.train(mounted, run.path, {}, print).code == 0
    assert cluster.deleted == [name], "the one that had ended made room"


class Stop(BaseException):
    """As Prefect's TerminationSignal: no Exception."""


def test_an_interrupted_flow_deletes_its_train_job(cluster: Cluster, mounted: RunConfig, tmp_path: Path) -> None:
    def say(line: str) -> None:
        if "waiting for its pods" in line and not cluster.deleted:
            raise Stop

    with pytest.raises(Stop):
        job.train(mounted, tmp_path / "home" / "runs" / "two", {}, say)
    assert [name.rpartition("-")[0] for name in cluster.deleted] == ["genlib-two"]


def test_a_cluster_that_is_away_is_one_line(cluster: Cluster, mounted: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{}")
    with pytest.raises(UserError, match="no cluster is known here"):
        job.train(mounted, tmp_path / "home" / "runs" / "three", {}, print)
