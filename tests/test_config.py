from pathlib import Path

import pytest

from genlib.config import RunConfig, load_config, to_yaml
from genlib.errors import UserError
from tests.conftest import CONFIGS, FILES

SHIPPED = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_loads_and_opens_with_the_command_that_runs_it(path):
    config = load_config(path)
    assert path.read_text().splitlines()[0] == f"# python -m pipelines run configs/{path.name}"
    assert config.registry.model == path.stem.replace("_", "-")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_configuration_written_out_reads_back_the_same(path, tmp_path):
    config = load_config(path)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config


def test_overrides_set_nested_keys_by_yaml_values():
    config = load_config(
        FILES["vae"], ["training.steps=7", "method.network.hidden_sizes=[3, 4]", "data.test_split=null"]
    )
    assert config.training.steps == 7
    assert config.method.network.hidden_sizes == [3, 4]
    assert config.data.test_split is None


def test_a_condition_may_be_its_name_alone():
    assert load_config(CONFIGS / "inpainting_vae_digits.yaml", ["condition=masked"]).condition.kind == "box"
    with pytest.raises(UserError, match="'maskd' is unknown, did you mean 'masked'"):
        load_config(CONFIGS / "inpainting_vae_digits.yaml", ["condition=maskd"])


def test_a_local_source_is_kept_as_an_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_config(FILES["vae"], ["data.source=images"]).data.source == str(tmp_path / "images")
    assert load_config(FILES["vae"], ["data.source=owner/name"]).data.source == "owner/name"


BAD = {
    "unknown section": (["trainig.steps=3"], "unknown key 'trainig', did you mean 'training'?"),
    "unknown key": (["training.stps=3"], "unknown key 'training.stps', did you mean 'steps'?"),
    "unknown key below a choice": (["method.optimizer.learning_rat=1"], "did you mean 'learning_rate'?"),
    "unknown key of a network": (["method.network={name: dcgan, widht: 8}"], "did you mean 'width'?"),
    "wrong type": (["training.steps=many"], "training.steps is 'many', but input should be a valid integer"),
    "out of range": (["data.image_size=4"], "data.image_size is 4, but input should be greater than or equal to 8"),
    "empty source": (['data.source=""'], "data.source is ''; name a path"),
    "unknown method": (["method.name=vea"], "method.name 'vea' is unknown, did you mean 'vae'?; known: auto"),
    "unknown network": (["method.network.name=vnet"], "method.network.name 'vnet' is unknown"),
    "unnamed network": (["method.network={width: 4}"], "method.network.name is missing; known: mlp, dcgan"),
    "size that strides cannot make": (
        ["method.network={name: dcgan}", "data.image_size=30"],
        "data.image_size (30) cannot be made by dcgan's strides, which double 4 to 7 pixels; use 28 or 32.",
    ),
    "batch that does not divide": (
        ["training.batch_size=127", "training.micro_batches=2"],
        "training.batch_size (127) must be divisible by the number of micro-batches (2); use 126.",
    ),
    "micro-batches that do not share out": (
        ["training.micro_batches=2", "training.processes=4"],
        "training.micro_batches (2) must be divisible by the number of processes (4); use 4.",
    ),
    "unknown metric": (["registry.metric=fi"], "'fi' is no metric, did you mean 'fid'?"),
    "metric of other features": (["registry.metric=fid"], "is not measured by evaluation.features 'classifier'"),
    "best without evaluations": (
        ["evaluation.checkpoint=best", "evaluation.every=null"],
        "evaluation.checkpoint is 'best', which is found by evaluations during training; set evaluation.every.",
    ),
    "bits of no density": (
        ["method.likelihood=bernoulli", "registry.metric=bits_per_dim"],
        "registry.metric (bits_per_dim) needs a density over pixels",
    ),
    "inception without its file": (["evaluation.features=inception", "registry.metric=fid"], "inception_weights"),
    "section that is a value": (["data=4"], "data is 4"),
    "override without a value": (["training.steps"], "must look like key=value"),
    "override below a value": (["training.steps=1", "training.steps.x=2"], "training.steps is a value"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_configuration_is_one_line_with_the_remedy(case):
    overrides, expected = BAD[case]
    with pytest.raises(UserError) as error:
        load_config(FILES["vae"], overrides)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_every_problem_is_named_at_once():
    with pytest.raises(UserError) as error:
        load_config(FILES["vae"], ["training.stps=1", "data.image_size=4"])
    assert "training.stps" in str(error.value) and "data.image_size" in str(error.value)


@pytest.mark.parametrize("content", ["- a\n", "", "a: [", "method: {name: vae}\n"])
def test_a_file_that_is_no_configuration_is_refused(content, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"bad\.yaml"):
        load_config(path)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"nowhere\.yaml: No such file"):
        load_config(Path("nowhere.yaml"))


def test_defaults_make_a_complete_run():
    assert RunConfig.model_validate({"method": {"name": "gan"}, "registry": {"model": "m"}}).training.batch_size == 128
