"""The services fit together, and none has a password that everybody knows."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from pipelines.deploying.deploy import KUBERNETES_JOB
from tests.conftest import PROJECT
from tests.infra.compose import FILE, INFRA, VARIABLE, services, settings

SECRET = re.compile(r"PASSWORD|SECRET|KEY|LOGIN|AUTH", re.I)
OWN = {"localhost", "127.0.0.1"}


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    return services(settings())


def test_without_a_secret_nothing_starts_and_the_name_of_the_missing_one_is_said() -> None:
    secrets = {match["name"] for match in VARIABLE.finditer(FILE.read_text()) if SECRET.search(match["name"])}
    assert len(secrets) == 7
    for name in secrets:
        with pytest.raises(KeyError, match=name):
            services({key: value for key, value in settings().items() if key != name})


def test_the_examples_of_settings_hold_no_secret_and_every_setting_that_is_asked_for() -> None:
    for example in (INFRA / ".env.example", INFRA / "kubernetes" / "secrets.env.example"):
        values = dict(re.findall(r"^(\w+)=(\S*)", example.read_text(), re.M))
        assert not [name for name, value in values.items() if SECRET.search(name) and value not in ("", "#")]
    asked = {match["name"] for match in VARIABLE.finditer(FILE.read_text())}
    assert asked == set(settings())


def test_generated_secrets_are_long_of_the_form_their_server_asks_for_and_new_each_time() -> None:
    one, other = settings(), settings()
    for name in [name for name in one if SECRET.search(name)]:
        assert one[name] != other[name]
        assert re.fullmatch(r"(GK[0-9a-f]{24}|[0-9a-f]{48}|[0-9a-f]{64}|genlib:[0-9a-f]{32})", one[name]), name


@pytest.mark.parametrize("file", ["infra/.env", "infra/kubernetes/secrets.env", "infra/backups/any"])
def test_git_and_the_images_leave_out_what_holds_secrets(file: str) -> None:
    if (PROJECT / ".git").exists():
        assert subprocess.run(["git", "check-ignore", "--quiet", file], cwd=PROJECT).returncode == 0
    kept = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert not [name for name in kept if file.startswith(name)]


def test_no_secret_stands_in_a_file_of_the_repository() -> None:
    for file in [FILE, *(INFRA / "kubernetes").glob("*.yaml"), KUBERNETES_JOB]:
        for name, value in re.findall(
            r"(\w*(?:PASSWORD|SECRET|ACCESS_KEY\w*|AUTH_STRING)):[ ]+(\S+)", file.read_text()
        ):
            assert value.startswith("${") or value in ("PREFECT_LOGIN}", "MLFLOW_DATABASE_PASSWORD}"), f"{file}: {name}"


def test_every_host_that_a_service_asks_is_a_service_on_one_of_its_networks(stack: dict[str, Any]) -> None:
    asked = 0
    for name, service in stack.items():
        environment = {
            key: value for key, value in service.get("environment", {}).items() if not key.endswith("_UI_URL")
        }
        hosts = set(re.findall(r"(?:https?://|@)([\w.-]+):\d+", json.dumps(environment)))
        hosts |= {value for key, value in environment.items() if key == "PGHOST"}
        for host in hosts - OWN:
            asked += 1
            assert set(service["networks"]) & set(stack[host]["networks"]), f"{name} cannot reach {host}"
    assert asked == 11


def test_the_pages_of_the_servers_are_published_on_this_machine_alone_and_nothing_else_is(
    stack: dict[str, Any],
) -> None:
    published = {name: service["ports"] for name, service in stack.items() if "ports" in service}
    assert published == {"prefect": ["127.0.0.1:4200:4200"], "mlflow": ["127.0.0.1:5000:5000"]}
    assert yaml.safe_load(FILE.read_text())["networks"]["back"] == {"internal": True}
    assert [stack[name]["networks"] for name in ("postgres", "store", "backup")] == [["back"]] * 3


def test_whatever_runs_for_long_says_whether_it_is_healthy_and_starts_again(stack: dict[str, Any]) -> None:
    for name in ("postgres", "store", "prefect", "mlflow", "worker", "gpu-worker"):
        assert stack[name]["healthcheck"]["test"][0] == "CMD"
        assert stack[name]["restart"] == "unless-stopped"
    for name, service in stack.items():
        for needed, condition in service.get("depends_on", {}).items():
            healthy = condition["condition"] == "service_healthy"
            assert healthy == ("healthcheck" in stack[needed]), f"{name} waits for {needed} in vain"


def test_volumes_and_build_targets_are_there(stack: dict[str, Any]) -> None:
    volumes = yaml.safe_load(FILE.read_text())["volumes"]
    targets = set(re.findall(r"^FROM .+ AS ([\w-]+)$", (INFRA / "Dockerfile").read_text(), re.M))
    for name, service in stack.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (INFRA / source).exists() or source in volumes or service is stack["backup"], name
        if service["image"].startswith("genlib-"):
            assert service["build"]["target"] == service["image"].removeprefix("genlib-")
            assert service["build"]["target"] in targets


def test_images_of_others_are_pinned_and_the_same_on_kubernetes(stack: dict[str, Any]) -> None:
    manifests = "".join(file.read_text() for file in (INFRA / "kubernetes").glob("*.yaml"))
    for name in ("postgres", "store"):
        image = stack[name]["image"]
        assert re.search(r":v?\d+\.\d+", image)
        assert f"image: {image}\n" in manifests


def test_servers_get_the_same_arguments_and_settings_on_kubernetes(stack: dict[str, Any]) -> None:
    for name in ("prefect", "mlflow"):
        documents = yaml.safe_load_all((INFRA / "kubernetes" / f"{name}.yaml").read_text())
        deployment = next(document for document in documents if document["kind"] == "Deployment")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        assert container["args"] == stack[name]["command"]
        given = {entry["name"] for entry in container["env"]}
        assert set(stack[name]["environment"]) <= given
