"""What lies under infra/ is what its own schemas and linters take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kubernetes_validate import validate
from packaging.requirements import Requirement

from pipelines.deploying.deploy import KUBERNETES_JOB
from tests.conftest import PROJECT
from tests.infra.compose import INFRA

KUBERNETES = INFRA / "kubernetes"
BINARIES = Path(sys.executable).parent
OF_KUSTOMIZE = "kustomization.yaml"
VERSION = "1.37"  # of Kubernetes


def passes(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr


def manifests() -> list[Path]:
    return [file for file in sorted(KUBERNETES.glob("*.yaml")) if file.name != OF_KUSTOMIZE]


def test_the_compose_file_is_valid_by_the_compose_specification() -> None:
    passes(BINARIES / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", INFRA / "compose.yaml")


@pytest.mark.parametrize("file", manifests(), ids=lambda file: file.name)
def test_a_kubernetes_manifest_is_valid_by_the_published_schemas(file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text()))
    assert documents
    for document in documents:
        validate(document, VERSION, strict=True)


@pytest.fixture
def rendered(tmp_path: Path) -> list[dict]:
    """What `kubectl apply --kustomize infra/kubernetes` would send."""
    command = {"kubectl": ["kubectl", "kustomize"], "kustomize": ["kustomize", "build"]}
    found = next((words for program, words in command.items() if shutil.which(program)), None)
    if found is None:
        pytest.skip("neither kubectl nor kustomize is here")
    for folder in ("kubernetes", "configuration"):
        shutil.copytree(INFRA / folder, tmp_path / folder)
    with (tmp_path / "kubernetes" / "secrets.env").open("w") as file:
        example = KUBERNETES / "secrets.env.example"
        subprocess.run(["bash", str(INFRA / "secrets.sh"), str(example)], check=True, stdout=file)
    done = subprocess.run([*found, str(tmp_path / "kubernetes")], check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


def test_the_rendered_kustomization_is_valid_and_refers_to_nothing_that_is_not_in_it(rendered: list[dict]) -> None:
    names: dict[str, set[str]] = {}
    for document in rendered:
        validate(document, VERSION, strict=True)
        names.setdefault(document["kind"], set()).add(document["metadata"]["name"])
    text = json.dumps(rendered)
    for kind, reference in {
        "Secret": r'"secretKeyRef": {"key": "\w+", "name": "([\w-]+)"',
        "ConfigMap": r'"configMap": {(?:"defaultMode": \d+, )?"name": "([\w-]+)"',
        "PersistentVolumeClaim": r'"claimName": "([\w-]+)"',
        "ServiceAccount": r'"serviceAccountName": "([\w-]+)"',
    }.items():
        assert set(re.findall(reference, text)) <= names[kind], kind
    assert set(re.findall(r"(?:http://|@)([a-z]+):\d+", text)) <= names["Service"] | {"localhost"}
    assert all(document["metadata"].get("namespace", "genlib") == "genlib" for document in rendered)


def test_each_pod_of_ours_is_as_the_restricted_standard_asks(rendered: list[dict]) -> None:
    pods = [document["spec"]["template"]["spec"] for document in rendered if "template" in document.get("spec", {})]
    pods += [
        document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for document in rendered
        if document["kind"] == "CronJob"
    ]
    template = json.loads(KUBERNETES_JOB.read_text())
    pods.append(template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"])
    assert len(pods) == 7
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod.get("serviceAccountName") or pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_the_images_are_built_as_hadolint_asks() -> None:
    passes(BINARIES / "hadolint", INFRA / "Dockerfile")


def test_what_the_images_copy_is_there_and_not_ignored() -> None:
    kept = [line.removeprefix("!") for line in (PROJECT / ".dockerignore").read_text().splitlines() if line[0] == "!"]
    for line in re.findall(r"^COPY (?!--from)(.+)$", (INFRA / "Dockerfile").read_text(), re.M):
        for source in line.split()[:-1]:
            assert (PROJECT / source).exists()
            assert source in kept or source.split("/")[0] in kept, f".dockerignore keeps {source} out"


def test_shell_scripts_pass_shellcheck() -> None:
    passes(BINARIES / "shellcheck", *INFRA.rglob("*.sh"))


def pinned() -> dict[str, str]:
    lines = (INFRA / "constraints.txt").read_text().splitlines()
    return {
        name.lower().replace("_", "-"): version for name, _, version in (line.partition("==") for line in lines[1:])
    }


def test_every_dependency_is_pinned_to_a_version_that_the_project_allows() -> None:
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *(text for extra in extras.values() for text in extra)]:
        requirement = Requirement(text)
        if requirement.name != project["name"]:
            assert requirement.specifier.contains(pinned()[requirement.name.lower()]), text


def test_images_take_their_packages_from_the_constraints_alone() -> None:
    dockerfile = (INFRA / "Dockerfile").read_text()
    assert "PIP_CONSTRAINT=/app/infra/constraints.txt" in dockerfile
    assert "==" not in dockerfile
    servers = re.search(r"pip install (boto3.+)", dockerfile)
    assert servers is not None
    assert {Requirement(name.strip("'")).name for name in servers[1].split()} <= set(pinned())
