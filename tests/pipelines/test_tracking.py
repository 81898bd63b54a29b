from __future__ import annotations

import math
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from PIL import Image
from prefect.exceptions import TerminationSignal

from genlib.config.load import to_yaml
from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.storage.files import read_json, write_json
from pipelines.flows.sync import register_run, sync
from pipelines.tracking.ledger import Ledger, begin_ledger, ledger_file
from pipelines.tracking.mirror import RUN_ID, Mirror, check_store, experiment_of, open_run, tracked
from tests.pipelines.conftest import evaluation_of

pytestmark = pytest.mark.usefixtures("tracking")
Write = Callable[..., None]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def mirror(config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, warnings: list[str]) -> Mirror:
    return Mirror(run_folder, begin_ledger(run_folder, dataset, config, {}), warnings.append)


def values(mirror: Mirror, name: str) -> list[tuple[int, float]]:
    history = mirror.connect().get_metric_history(mirror.run_id, name)
    return [(metric.step, metric.value) for metric in history]


def test_metrics_arrive_by_step_as_they_are_written_and_half_a_line_waits(mirror: Mirror, write_metrics: Write) -> None:
    write_metrics(1, 2)
    mirror.sync()
    write_metrics(3, end="")
    mirror.sync()
    assert values(mirror, "vae/total") == [(1, 1.5), (2, 1.5)]
    write_metrics(end="")
    with mirror.folder.metrics_file.open("a") as file:
        file.write("\n")
    mirror.sync()
    assert values(mirror, "vae/total") == [(1, 1.5), (2, 1.5), (3, 1.5)]


def test_values_that_databases_would_alter_are_left_out(mirror: Mirror, write_metrics: Write) -> None:
    write_metrics(1, loss=math.nan)
    write_metrics(2, loss=math.inf)
    write_metrics(3)
    mirror.sync()
    assert values(mirror, "vae/total") == [(3, 1.5)]


def test_a_run_that_went_back_to_its_checkpoint_is_followed_from_there(mirror: Mirror, write_metrics: Write) -> None:
    write_metrics(1, 2, 3, 4)
    mirror.sync()
    mirror.folder.metrics_file.unlink()
    write_metrics(1, 2)
    mirror.sync()
    write_metrics(3, 4, 5)
    mirror.sync()
    assert values(mirror, "vae/total") == [(step, 1.5) for step in (1, 2, 3, 4, 5)]


def test_steps_that_a_run_repeats_are_there_once_though_their_times_differ(
    mirror: Mirror, config: RunConfig, dataset: DatasetFolder, write_metrics: Write
) -> None:
    write_metrics(1, 2, 3, 4)
    mirror.sync()
    mirror.folder.metrics_file.unlink()
    write_metrics(1, 2)
    write_metrics(3, 4, 5, loss=2.5, later=7.0)  # after a rollback even the values differ
    Mirror(mirror.folder, begin_ledger(mirror.folder, dataset, config, {}), pytest.fail).sync()  # another process
    assert values(mirror, "vae/total") == [(1, 1.5), (2, 1.5), (3, 1.5), (4, 1.5), (5, 2.5)]
    assert [step for step, _ in values(mirror, "seconds")] == [1, 2, 3, 4, 5]


def test_what_mlflow_did_not_take_while_it_was_away_is_sent_by_another_process_later(
    config: RunConfig,
    dataset: DatasetFolder,
    run_folder: RunFolder,
    write_metrics: Write,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object, **__: object) -> None:
        raise MlflowException("https://me:secret@server:5000 is away")

    with monkeypatch.context() as broken:
        broken.setattr("pipelines.tracking.mirror.MlflowClient", away)
        with tracked(config, dataset, run_folder, warnings.append, {}):
            write_metrics(1, 2)
    assert not any("secret" in warning for warning in warnings)
    assert warnings[-1].endswith(f"genlib sync {run_folder.path}")
    assert not MlflowClient().get_experiment_by_name(config.registry.model)
    assert sync([run_folder.path], pytest.fail) == ["run: sent"]
    assert run_of(config).info.status == "FINISHED"
    history = MlflowClient().get_metric_history(run_of(config).info.run_id, "vae/total")
    assert [point.step for point in history] == [1, 2]
    assert sync([run_folder.path], pytest.fail) == []


def test_a_run_that_was_not_registered_is_registered_by_sync(
    config: RunConfig,
    dataset: DatasetFolder,
    run_folder: RunFolder,
    sampler_folder: Path,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object, **__: object) -> None:
        raise MlflowException("away")

    sampler_folder.rename(run_folder.sampler)
    write_json(run_folder.evaluation_file, evaluation_of(0.5))
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.registry.register.register", away)
        with (
            pytest.raises(MlflowException),
            tracked(config, dataset, run_folder, warnings.append, {}) as mirror,
        ):
            register_run(config, run_folder, mirror)
    assert run_of(config).info.status == "FAILED"
    assert sync([run_folder.path], pytest.fail) == ["run: sent, version 1 is champion"]
    assert run_of(config).info.status == "FINISHED"
    tags = MlflowClient().get_model_version(config.registry.model, "1").tags
    assert tags["run_folder"] == str(run_folder.path) and tags["dataset_hash"] == dataset.manifest.content_hash


def test_a_folder_at_a_path_that_was_used_before_is_a_run_of_its_own(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, write_metrics: Write
) -> None:
    known = {}
    for steps in ((1, 2), (1,)):
        write_metrics(*steps)
        with tracked(config, dataset, run_folder, pytest.fail, {}) as mirror:
            known[mirror.run_id] = [step for step, _ in values(mirror, "vae/total")]
        shutil.rmtree(run_folder.path)
        run_folder.samples.mkdir(parents=True)
        run_folder.config_file.write_text(to_yaml(config))
    assert list(known.values()) == [[1, 2], [1]]


def test_a_folder_that_was_moved_or_that_lost_its_mlflow_run_id_goes_on_with_its_run(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, tmp_path: Path
) -> None:
    with tracked(config, dataset, run_folder, pytest.fail, {}) as mirror:
        run_id = mirror.run_id
    folder = RunFolder(run_folder.path.rename(tmp_path / "moved 'elsewhere'"))
    ledger = read_json(ledger_file(folder))
    write_json(ledger_file(folder), ledger | {"run_id": None})
    with tracked(config, dataset, folder, pytest.fail, {}) as mirror:
        assert mirror.run_id == run_id
    assert run_of(config).data.tags["run_folder"] == str(folder.path)


@pytest.mark.parametrize("lost", [("id",), ("id", "run_id")])
def test_a_run_folder_from_before_runs_had_an_id_goes_on_with_its_run(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, lost: tuple[str, ...]
) -> None:
    with tracked(config, dataset, run_folder, pytest.fail, {}) as mirror:
        run_id = mirror.run_id
        mirror.connect().delete_tag(run_id, RUN_ID)
    ledger = read_json(ledger_file(run_folder))
    write_json(ledger_file(run_folder), {key: value for key, value in ledger.items() if key not in lost})
    with tracked(config, dataset, run_folder, pytest.fail, {}) as mirror:
        assert mirror.run_id == run_id
    assert run_of(config).data.tags[RUN_ID] == read_json(ledger_file(run_folder))["id"]


@pytest.mark.parametrize("deleted", [True, False])
def test_a_run_that_mlflow_has_no_more_is_begun_anew(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, write_metrics: Write, deleted: bool
) -> None:
    write_metrics(1)
    with tracked(config, dataset, run_folder, pytest.fail, {}) as mirror:
        first = mirror.run_id
    if deleted:
        MlflowClient().delete_run(first)
    else:  # the ledger is of another server
        write_json(
            ledger_file(run_folder), read_json(ledger_file(run_folder)) | {"id": "a", "run_id": 32 * "0", "started": 1}
        )
    with tracked(config, dataset, run_folder, pytest.fail, {}) as mirror:
        assert mirror.run_id != first
        assert values(mirror, "vae/total") == [(1, 1.5)]


def test_an_experiment_that_was_deleted_is_named_with_its_restoring_and_sync_goes_on_after_it(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, warnings: list[str]
) -> None:
    client, model = MlflowClient(), config.registry.model
    check_store(model)
    experiment = experiment_of(client, model)
    client.delete_experiment(experiment)
    remedy = f"mlflow experiments restore -x {experiment}, or name another model: registry.model"
    with pytest.raises(UserError, match=f"'{model}' was deleted in MLflow.*{remedy}"):
        check_store(model)
    with tracked(config, dataset, run_folder, warnings.append, {}):
        pass
    assert remedy in warnings[0]
    assert sync([run_folder.path], warnings.append) == ["run: not all sent"]
    client.restore_experiment(experiment)
    assert sync([run_folder.path], pytest.fail) == ["run: sent"]


def test_a_server_that_is_away_does_not_keep_a_run_from_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    check_store("any")


def test_a_damaged_ledger_is_named_and_other_runs_are_sent(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, tmp_path: Path
) -> None:
    begin_ledger(run_folder, dataset, config, {})
    broken = RunFolder(tmp_path / "broken")
    broken.make()
    for content in ("{", "[1]", '{"mode": 1}'):
        ledger_file(broken).write_text(content)
        line, *others = sync([broken.path, run_folder.path], pytest.fail)
        assert line.startswith(f"broken: not sent: {ledger_file(broken)} is damaged (")
    assert not others and run_of(config).info.status == "KILLED"


def test_a_run_folder_that_no_pipeline_has_tracked_is_named(run_folder: RunFolder) -> None:
    with pytest.raises(UserError, match="no tracking.json"):
        sync([run_folder.path], pytest.fail)


def test_each_sample_grid_is_logged_once_with_its_step(mirror: Mirror) -> None:
    for step in (10, 20):
        Image.new("L", (8, 8)).save(mirror.folder.samples / f"step-{step:08d}.png")
        (mirror.folder.samples / f".step-{step:08d}.png.1.partial").write_bytes(b"half a picture")
        mirror.sync()
    again = Mirror(mirror.folder, mirror.ledger, pytest.fail)
    again.sync()
    images = [
        file.path for file in mirror.connect().list_artifacts(mirror.run_id, "images") if file.path.endswith(".png")
    ]
    assert sorted(path.split("+")[:3] for path in images) == [["images/samples", "step", step] for step in ("10", "20")]


def test_mlflow_failing_in_the_middle_is_one_warning_and_what_is_missing_follows(
    mirror: Mirror, write_metrics: Write, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MlflowException("the server is away\nwith a long story")

    write_metrics(1)
    mirror.sync()
    with monkeypatch.context() as broken:
        broken.setattr(mirror.connect(), "log_batch", fail)
        write_metrics(2)
        mirror.sync()
        write_metrics(3)
        mirror.sync()
    assert len(warnings) == 1 and "the server is away" in warnings[0] and "\n" not in warnings[0]
    mirror.sync()
    assert values(mirror, "vae/total") == [(1, 1.5), (2, 1.5), (3, 1.5)]


def test_the_folder_is_followed_in_the_background_and_to_its_end(mirror: Mirror, write_metrics: Write) -> None:
    mirror.connect()  # before two threads do
    with mirror.following(interval=0.01):
        write_metrics(1)
        while not values(mirror, "vae/total"):
            pass
        write_metrics(2)
    assert values(mirror, "vae/total") == [(1, 1.5), (2, 1.5)]


def run_of(config: RunConfig) -> Run:
    client = MlflowClient()
    (run,) = client.search_runs([experiment_of(client, config.registry.model)])
    return run


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (None, "FINISHED"),
        (RuntimeError("diverged"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (TerminationSignal(signal.SIGTERM), "KILLED"),
    ],
)
def test_the_status_is_the_truth_however_the_run_ends(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder, ending: BaseException | None, status: str
) -> None:
    def run() -> None:
        with tracked(config, dataset, run_folder, pytest.fail, {}):
            assert run_of(config).info.status == "RUNNING"
            if ending:
                raise ending

    if ending:
        with pytest.raises(type(ending)):
            run()
    else:
        run()
    assert run_of(config).info.status == status


def test_a_run_folder_that_is_continued_goes_on_with_its_mlflow_run(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder
) -> None:
    with pytest.raises(KeyboardInterrupt), tracked(config, dataset, run_folder, pytest.fail, {}):
        raise KeyboardInterrupt
    with tracked(config, dataset, run_folder, pytest.fail, {}):
        pass
    assert run_of(config).info.status == "FINISHED"


def test_a_run_whose_process_is_gone_is_marked_killed_by_the_next(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder
) -> None:
    client = MlflowClient()
    elsewhere = RunFolder(run_folder.path.with_name("elsewhere"))
    gone, _ = open_run(client, experiment_of(client, config.registry.model), elsewhere, Ledger(config.registry.model))
    client.set_tag(gone.info.run_id, "owner.process", "999999999 0")
    with tracked(config, dataset, run_folder, pytest.fail, {}):
        assert client.get_run(gone.info.run_id).info.status == "KILLED"


def test_a_run_tells_its_parameters_data_code_evaluation_and_files(
    config: RunConfig, dataset: DatasetFolder, run_folder: RunFolder
) -> None:
    with tracked(config, dataset, run_folder, pytest.fail, {}):
        run_folder.write_result(
            status="finished", step=7, images=70, seconds=3.5, images_per_second=20.0, device="cpu", processes=2
        )
        write_json(run_folder.evaluation_file, evaluation_of(0.5, std=0.25, baseline=0.75))
    run = run_of(config)
    assert run.data.params["method.latent_size"] == "2"
    assert run.data.params["registry.model"] == config.registry.model
    assert run.data.metrics["fd_classifier"] == 0.5
    assert run.data.metrics["floor/fd_classifier"] == 0.01
    assert run.data.metrics["baseline/fd_classifier"] == 0.75
    assert run.data.metrics["std/fd_classifier"] == 0.25
    assert run.data.metrics["result/images_per_second"] == 20.0
    tags = run.data.tags
    assert tags["result.status"] == "finished"
    assert tags["device"].startswith("2 x ")
    assert tags["dataset_hash"] == dataset.manifest.content_hash
    assert {"git.commit", "git.dirty", "constraints_hash"} <= set(tags)
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "digits"
    assert data.dataset.digest == dataset.manifest.content_hash[:36]
    files = {Path(file.path).name for file in MlflowClient().list_artifacts(run.info.run_id)}
    assert {"config.yaml", "result.json", "evaluation.json", "dataset"} <= files
