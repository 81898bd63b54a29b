import re
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from genlib.config.load import load_config, to_yaml
from genlib.config.run import RunConfig
from genlib.errors import UserError
from genlib.runs.folder import flatten
from tests.conftest import CONFIGS, FILES

SHIPPED = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_loads_and_opens_with_the_command_that_runs_it(path):
    config = load_config(path)
    assert path.read_text().splitlines()[0] == f"# genlib run configs/{path.name}"
    assert config.registry.model == path.stem.replace("_", "-")


def header_of(path: Path) -> list[str]:
    """The comments that a file opens with, without their signs."""
    return [line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("# "), path.open())]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_says_what_differs_from_its_source(path):
    """After the command and the source: one sentence, which may take several lines."""
    _, source, *differs = (line.rstrip() for line in header_of(path))
    assert re.search(r"\b(19|20)\d\d\b", source), "the source is a paper of a year"
    sentence = " ".join(differs)
    assert sentence.startswith("Here ") and len(sentence.split()) >= 8 and not re.search(r"\.( |$)", sentence)
    assert all(len(line) <= 118 for line in (source, *differs))


NUMBER = r"([\d.,]*\d)"
# What a source's line says with a number, and the keys that may hold it: the first that there is.
SAID = {
    rf"batches of {NUMBER}": ("training.batch_size",),
    rf"packs of {NUMBER}": ("method.pack",),
    rf"\bk {NUMBER}": ("method.discriminator_steps", "method.importance_samples"),
    rf"lambda {NUMBER}": ("method.penalty.weight", "method.divergence.weight"),
    rf"gamma {NUMBER}": ("method.penalty.weight",),
    rf"\bbeta {NUMBER}": ("method.commitment", "method.divergence.beta"),
    rf"{NUMBER} latents": ("method.latent_size",),
    rf"weights within {NUMBER}": ("method.penalty.limit",),
    rf"target {NUMBER}": ("method.augmentation.target",),
    rf"{NUMBER} images from 0 to 1": ("method.augmentation.speed_images",),
    rf"L1 loss with weight {NUMBER}": ("method.reconstruction_weight",),
    rf"{NUMBER} samples are judged": ("evaluation.samples",),
}
# The same, where all optimizers of the networks have it.
SAID_OF_OPTIMIZERS = {
    rf"(?:Adam|RMSprop) at {NUMBER}": "learning_rate",
    rf"Adam at [\d.]+ \({NUMBER}, ": "beta1",
    rf"with beta1 {NUMBER}": "beta1",
    rf"Adam at [\d.]+ \([\d.]+, {NUMBER}\)": "beta2",
    rf"with decay {NUMBER}": "beta2",
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_a_shipped_configuration_says_of_its_source_is_what_it_does(path):
    source = header_of(path)[1]
    values = flatten(load_config(path).model_dump(mode="json"))
    for words, keys in SAID.items():
        for number in re.findall(words, source):
            assert next(values[key] for key in keys if key in values) == float(number.replace(",", "")), source

    def of_optimizers(key):
        return {value for name, value in values.items() if re.fullmatch(rf"method\.\w*optimizer\.{key}", name)}

    for words, key in SAID_OF_OPTIMIZERS.items():
        for number in re.findall(words, source):
            assert of_optimizers(key) == {float(number)}, source
    if "falling to 0" in source:
        assert of_optimizers("schedule") == {"linear"} and max(of_optimizers("final_share")) < 1e-4
    assert values["data.mirror"] == ("mirrored" in " ".join(header_of(path)))


def test_each_number_that_is_looked_for_is_said_of_a_source():
    sources = "\n".join(header_of(path)[1] for path in SHIPPED)
    assert [words for words in [*SAID, *SAID_OF_OPTIMIZERS] if not re.search(words, sources)] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_configuration_written_out_reads_back_the_same(path, tmp_path):
    config = load_config(path)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_configuration_that_was_saved_as_yaml_1_1_is_read_the_same(path, tmp_path):
    config = load_config(path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
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
    "unnamed network": (["method.network={width: 4}"], "method.network.name is missing; known: dcgan, mlp"),
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
    "section that is a value": (["data=4"], "data is 4, but it must be a section; write its keys, or leave it out"),
    "choice that is a value": (
        ["method.network=3"],
        "method.network is 3, but it must be a section; write one such as {name: d",
    ),
    "override without a value": (["training.steps"], "must look like key=value"),
    "override below a value": (["training.steps=1", "training.steps.x=2"], "training.steps is a value, not a section"),
    "override that undoes another": (
        ["method.network.hidden_sizes=[4]", "method.network={name: dcgan}"],
        "--set method.network comes after --set method.network.hidden_sizes, which it would undo; set the section",
    ),
    "override without a key": (["=3"], "must look like key=value"),
    "override of a blank key": ([" =3"], "override '' has an empty name"),
    "override with a dot at the end": (["training.=3"], "override 'training.' has an empty name at an end"),
    "override with a dot at the beginning": ([".steps=3"], "override '.steps' has an empty name at an end"),
    "override without a section": (["training..steps=3"], "override 'training..steps' has an empty name"),
    "key given twice in an override": (["method.network={name: mlp, name: dcgan}"], "the key 'name' is given twice"),
    "time of day": (["training.steps=1:30"], "training.steps is '1:30', but input should be a valid integer"),
    "model without a name": (["registry.model="], "registry.model is None, but input should be a valid string"),
    "model of an empty name": (["registry.model=''"], "registry.model: '' must be letters, digits"),
    "model named by a number": (["registry.model=2024"], "but input should be a valid string; write it in quotes"),
    "model with a slash": (["registry.model=a/b"], "which MLflow and file systems take"),
    "model with a colon": (["registry.model='a:b'"], "which MLflow and file systems take"),
    "model with a line break": (['registry.model="a\\nb"'], "which MLflow and file systems take"),
    "model of a long name": ([f"registry.model={'a' * 1000}"], "but string should have at most 100 characters"),
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


TWICE = "data: {source: digits}\nmethod:\n  name: vae\n  sigma: 0.4\n  sigma: 0.5\nregistry: {model: m}\ndata: {}\n"


def test_a_key_or_section_that_is_given_twice_is_refused_with_both_lines(tmp_path):
    for text, message in ((TWICE, "'sigma' is given twice, in lines 4 and 5"), (TWICE[:-9], "'sigma' is given twice")):
        (tmp_path / "twice.yaml").write_text(text)
        with pytest.raises(UserError, match=message):
            load_config(tmp_path / "twice.yaml")
    (tmp_path / "twice.yaml").write_text(TWICE.replace("  sigma: 0.5\n", ""))
    with pytest.raises(UserError, match="'data' is given twice, in lines 1 and 6"):
        load_config(tmp_path / "twice.yaml")


def test_the_last_of_equal_overrides_counts_and_a_section_before_its_keys_is_a_base_for_them():
    assert load_config(FILES["vae"], ["training.steps=7", "training.steps=8"]).training.steps == 8
    network = ["method.network={name: dcgan}", "method.network.width=4"]
    assert load_config(FILES["vae"], network).method.network.width == 4


def test_a_mapping_of_overrides_has_no_order():
    backwards = {"method.network.width": 4, "method.network": {"name": "dcgan"}}
    assert load_config(FILES["vae"], backwards).method.network.width == 4


@pytest.mark.parametrize(
    "text",
    [
        "data: {source: " + "x" * 100_000 + "}",
        "x" * 100_000 + ": 1",
        "method: {name: " + "x" * 100_000 + "}",
        "data: [" + "1, " * 5000 + "]",
        "registry: {model: m, metric: " + "x" * 100_000 + "}",
        "data: &" + "x" * 100_000 + " *y",
        "data: !" + "x" * 20_000 + " 1",
        "data: *" + "x" * 100_000,
        "training: {" + ", ".join(f"key{number}: 1" for number in range(2000)) + "}",
        "training: {steps: 0x" + "f" * 20_000 + "}",
        "x" * (2**20 + 1),
        "data: " + "9" * 5000,
    ],
    ids=range(12),
)
def test_a_message_repeats_little_of_a_large_input(text, tmp_path):
    (tmp_path / "large.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        load_config(tmp_path / "large.yaml")
    assert len(str(error.value)) < 2100 and "\n" not in str(error.value)
    with pytest.raises(UserError) as error:
        load_config(FILES["vae"], [text, f"training.steps={text}"])
    assert len(str(error.value)) < 2100 and "\n" not in str(error.value)


def test_a_file_without_end_is_read_no_further_than_its_limit():
    with pytest.raises(UserError, match="it has more than 1,048,576 bytes"):
        load_config(Path("/dev/zero"))


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"nowhere\.yaml: No such file"):
        load_config(Path("nowhere.yaml"))


def test_defaults_make_a_complete_run():
    assert RunConfig.model_validate({"method": {"name": "gan"}, "registry": {"model": "m"}}).training.batch_size == 128
