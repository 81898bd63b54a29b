"""What is deployed, and what a deployment asks of its pool."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from genlib.config.shipped import shipped
from genlib.errors import UserError
from genlib.storage.files import read_json
from pipelines.deploying.deploy import KUBERNETES_JOB, in_image
from pipelines.deploying.deployments import Deployment, deployments_of


def test_pods_have_the_image_that_the_deployer_names(monkeypatch: pytest.MonkeyPatch) -> None:
    template = read_json(KUBERNETES_JOB)
    before = deepcopy(template)
    monkeypatch.setenv("GENLIB_IMAGE", "images/genlib-cuda:7")
    monkeypatch.setenv("GENLIB_IMAGE_DIGEST", "sha256:feed")
    variables = in_image(template)["variables"]["properties"]
    assert variables["image"]["default"] == "images/genlib-cuda:7"
    assert variables["env"]["default"]["GENLIB_IMAGE_DIGEST"] == "sha256:feed"
    assert template == before
    monkeypatch.delenv("GENLIB_IMAGE")
    monkeypatch.delenv("GENLIB_IMAGE_DIGEST")
    assert in_image(template) == before


def by_name(deployments: list[Deployment]) -> dict[str, Deployment]:
    return {f"{deployment.flow}/{deployment.name}": deployment for deployment in deployments}


@pytest.fixture(scope="module")
def found() -> dict[str, Deployment]:
    return by_name(deployments_of())


def test_each_configuration_has_a_deployment_of_each_flow_that_says_what_its_comment_says(
    found: dict[str, Deployment],
) -> None:
    assert set(found) == {f"{flow}/{name.replace('_', '-')}" for flow in ("retrain", "sample") for name in shipped()}
    deployment = found["retrain/vae-digits"]
    assert deployment.description == "Kingma & Welling 2014, appendix C.2: Gaussian pixels"
    assert (deployment.tags, deployment.pool) == (["vae", "digits"], "local")
    assert deployment.parameters == {"config": "vae_digits"}
    assert {schedule.slug: schedule.active for schedule in deployment.schedules} == {
        "nightly": False,
        "when-data-change": False,
    }
    assert found["retrain/colourisation-gan-cifar10"].tags == ["gan", "cifar10", "greyscale"]
    assert found["retrain/r3gan-stacked-mnist"].tags == ["gan", "stacked-mnist"]
    assert found["retrain/gan-two-moons"].pool == "local"
    assert found["sample/vae-digits"].parameters == {"model": "vae-digits"}
    assert not found["sample/vae-digits"].schedules
    assert all(deployment.description for deployment in found.values())


def test_only_trainings_of_the_gpu_pool_ask_for_gpus(found: dict[str, Deployment]) -> None:
    assert found["retrain/vae-digits"].gpus == 0
    assert found["retrain/dcgan-cifar10"].gpus == 1
    assert found["sample/dcgan-cifar10"].gpus == 0


def test_a_file_of_ones_own_is_deployed_too_and_takes_the_place_of_a_shipped_one_of_its_name(tmp_path: Path) -> None:
    text = shipped()["vae_digits"].read_text()
    own, same = tmp_path / "my_vae.yaml", tmp_path / "vae_digits.yaml"
    own.write_text("# genlib run my_vae.yaml\n" + text[text.index("data:") :])
    same.write_text(text.replace("# Kingma", "# Ours, after Kingma"))
    found = by_name(deployments_of([own, same, shipped()["dcgan_digits"]]))
    assert len(found) == 2 * len(shipped()) + 2
    assert found["retrain/my-vae"].description == str(own)
    assert found["retrain/my-vae"].parameters == {"config": str(own)}
    assert found["retrain/vae-digits"].description.startswith("Ours, after Kingma")
    assert found["retrain/vae-digits"].schema["properties"]["config"]["enum"] == [str(same)]
    assert found["retrain/dcgan-digits"].parameters == {"config": "dcgan_digits"}
    own.write_text("method: {name: vea}")
    with pytest.raises(UserError, match="did you mean 'vae'"):
        deployments_of([own])
