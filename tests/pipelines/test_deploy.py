"""What a deployment asks of its pool."""

from __future__ import annotations

from copy import deepcopy

import pytest

from genlib.storage.files import read_json
from pipelines.deploying.deploy import KUBERNETES_JOB, entries_of, gpus_of, in_image, sampling_of


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


def test_only_trainings_of_the_gpu_pool_ask_for_gpus() -> None:
    entries = {entry["name"]: entry for entry in entries_of([])}
    assert gpus_of(entries["vae-digits"]) == 0
    assert gpus_of(entries["dcgan-cifar10"]) == 1
    assert sampling_of(entries["dcgan-cifar10"])["gpus"] == 0
