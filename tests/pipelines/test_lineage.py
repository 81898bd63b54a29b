"""From a version to what it was made from, and back; and whether it comes out again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import save_file

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.storage.files import write_json
from pipelines.flows import reproduce
from pipelines.flows.reproduce import check_data, compared, with_threads_of
from pipelines.flows.sync import register_run
from pipelines.registry.lineage import lineage
from pipelines.tracking import ledger
from pipelines.tracking.ledger import read_ledger
from pipelines.tracking.mirror import UNCOMMITTED, tracked
from tests.pipelines.conftest import evaluation_of

pytestmark = pytest.mark.usefixtures("tracking")
FLOW_RUN = "0a0b0c0d-0000-4000-8000-000000000000"


@pytest.fixture
def registered(
    config: RunConfig,
    dataset: DatasetFolder,
    run_folder: RunFolder,
    sampler_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A run as the flow tracks and registers it, from a checkout that was not clean; its version."""
    monkeypatch.setenv("GENLIB_IMAGE_DIGEST", "sha256:feed")
    monkeypatch.setattr(ledger, "git_state", lambda: {"git.commit": "c0ffee" * 7, "git.dirty": "true"})
    monkeypatch.setattr(ledger, "uncommitted", lambda: "diff --git a/genlib b/genlib\n")
    sampler_folder.rename(run_folder.sampler)
    write_json(run_folder.evaluation_file, evaluation_of(0.5))
    with tracked(config, dataset, run_folder, pytest.fail, {"prefect.flow_run_id": FLOW_RUN}) as mirror:
        run_folder.write_result(
            status="finished",
            step=7,
            device="NVIDIA H100",
            processes=2,
            driver="580.95",
            torch="2.13",
            threads=[[0, 2], [5, 1]],
        )
        return register_run(config, run_folder, mirror).version


def test_a_version_leads_to_its_data_code_configuration_environment_run_and_flow_run(
    registered: str, config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder
) -> None:
    block = lineage(config.registry.model)
    assert lineage(config.registry.model, registered) == block
    for known in (
        f"{config.registry.model} 1, champion, registered ",
        f"digits, revision none, content hash {dataset.manifest.content_hash}",
        f"commit {'c0ffee' * 7}, with the changes in {UNCOMMITTED} of the MLflow run",
        "image sha256:feed, torch 2.13",
        "2 x NVIDIA H100, CPU threads 1 to 2, driver 580.95, on ",
        FLOW_RUN,
        str(run_folder.path),
    ):
        assert known in block
    assert "unknown" not in block and "not on this machine" not in block
    with pytest.raises(UserError, match="no version '9'; versions: 1"):
        lineage(config.registry.model, "9")


def test_the_run_and_its_folder_lead_to_the_version(registered: str, config: RunConfig, run_folder: RunFolder) -> None:
    known = read_ledger(run_folder)
    assert known is not None and (known.model, known.version) == (config.registry.model, registered)
    client = MlflowClient()
    run = client.get_run(str(known.run_id))
    assert run.data.tags["registered_version"] == registered
    assert "the first version" in run.data.tags["mlflow.note.content"]
    assert [file.path for file in client.list_artifacts(str(known.run_id), "code")] == [UNCOMMITTED]


def test_data_that_has_changed_is_no_ground_for_reproducing(registered: str, config: RunConfig) -> None:
    version = MlflowClient().get_model_version(config.registry.model, registered)
    with pytest.raises(UserError, match="the data has changed: .* was trained on content hash abababababab"):
        check_data(version, config)


def test_a_version_is_reproduced_with_the_threads_of_its_steps_on_a_cpu(
    registered: str, config: RunConfig, tmp_path: Path
) -> None:
    version = MlflowClient().get_model_version(config.registry.model, registered)
    assert with_threads_of(version, config, tmp_path) == config  # it was trained on GPUs
    on_cpu = {"device": "cpu", "threads": [[0, 2], [5, 1]]}
    MlflowClient().log_dict(str(version.run_id), on_cpu, "result.json")
    again = with_threads_of(version, config, tmp_path)
    assert again.training.threads == [[0, 2], [5, 1]]
    assert again.training.model_copy(update={"threads": None}) == config.training
    one = config.model_copy(update={"training": config.training.model_copy(update={"threads": 1})})
    assert with_threads_of(version, one, tmp_path) == one


def test_a_folder_of_the_pipeline_is_not_reproduced_into(
    registered: str, config: RunConfig, run_folder: RunFolder
) -> None:
    with pytest.raises(UserError, match="is the folder of a run of the pipeline"):
        reproduce.reproduce(config.registry.model, registered, run_folder.path, pytest.fail)


def test_weights_are_compared_bit_by_bit_and_then_by_their_largest_difference(tmp_path: Path) -> None:
    def saved(name: str, **tensors: torch.Tensor) -> Path:
        save_file(tensors, tmp_path / name)
        return tmp_path / name

    original = saved("original", a=torch.zeros(3), b=torch.ones(2))
    assert compared(original, saved("same", a=torch.zeros(3), b=torch.ones(2)))[1]
    verdict, same = compared(original, saved("other", a=torch.zeros(3), b=torch.tensor([1.0, 1.5])))
    assert not same and verdict == "the weights differ in 1 of 2 tensors, at most by 0.5 (in b)."
    verdict, same = compared(original, saved("broken", a=torch.zeros(3), b=torch.tensor([1.0, torch.nan])))
    assert not same and "at most by inf (in b)" in verdict
    assert not compared(original, saved("larger", a=torch.zeros(4), b=torch.ones(2)))[1]
