"""A run folder on the data that its run began with, and on the model that is evaluated."""

import pytest

from genlib.config.load import load_config
from genlib.errors import UserError
from genlib.runs.checkpoints import STATE, checkpoint_path
from genlib.runs.folder import RunFolder
from genlib.storage.files import write_json
from tests.conftest import FILES


@pytest.fixture
def begun(tmp_path):
    """A run folder, and a call that goes on with it on the data of a content hash."""
    run, config = RunFolder(tmp_path / "run"), load_config(FILES["vae"])
    run.make()

    def go_on(content_hash="ab" * 32):
        run.start(config, {"folder": "digits", "content_hash": content_hash})

    go_on()
    return run, go_on


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"dataset.json is damaged \(it holds no object\)"),
        ("abab", r"dataset.json is damaged \(it holds no object\)"),
        ({"content_hash": 5}, r"dataset.json is damaged \(its content_hash is 5\)"),
        ({"content_hash": ["ab"]}, "dataset.json is damaged"),
        ({"content_hash": "cd" * 32}, "the dataset of .* has changed since the run began"),
    ],
)
def test_a_run_does_not_go_on_where_its_data_are_told_wrongly(begun, content, message):
    run, go_on = begun
    write_json(run.dataset_file, content)
    with pytest.raises(UserError, match=message) as caught:
        go_on()
    assert "\n" not in str(caught.value)


def test_a_run_goes_on_with_the_same_data_or_where_none_were_noted(begun):
    run, go_on = begun
    go_on()
    run.dataset_file.unlink()
    go_on("cd" * 32)


def test_the_model_that_is_evaluated_is_the_last_or_the_best_with_its_newest_checkpoint(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert run.exported("last") == (run.sampler, None) and run.exported("best") == (run.best / "sampler", None)
    for folder, step in ((run.checkpoints, 90), (run.checkpoints, 100), (run.best, 40)):
        write_json_in(checkpoint_path(folder, step))
    checkpoint_path(run.checkpoints, 110).mkdir()  # half-written: it has no state.json
    assert run.exported("last") == (run.sampler, checkpoint_path(run.checkpoints, 100))
    assert run.exported("best") == (run.best / "sampler", checkpoint_path(run.best, 40))


def write_json_in(checkpoint):
    checkpoint.mkdir(parents=True)
    write_json(checkpoint / STATE, {})
