import errno
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from genlib.cli import main
from genlib.config.reference import listing, sections_below
from genlib.config.run import RunConfig
from tests.conftest import PROJECT


def refused(capsys, *arguments):
    """The one line that a command refused bad input with."""
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


@pytest.fixture
def run_dir(tiny, command, tmp_path):
    result = command("genlib", "train", *tiny("gan"), "--run-dir", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    return tmp_path / "run"


def test_samples_are_written_as_a_grid_or_an_array_and_the_same_seed_gives_the_same(run_dir, tmp_path):
    grid, first, second = tmp_path / "grid.png", tmp_path / "a.npz", tmp_path / "b.npz"
    assert main(["sample", str(run_dir), "--count", "9", "--output", str(grid)]) == 0
    assert Image.open(grid).size == (3 * 34 + 2, 3 * 34 + 2)
    assert main(["sample", str(run_dir), "--count", "9", "--output", str(tmp_path / "again.PNG")]) == 0
    assert (tmp_path / "again.PNG").read_bytes() == grid.read_bytes()
    for output in (first, second):
        assert main(["sample", str(run_dir), "--count", "9", "--seed", "3", "--output", str(output)]) == 0
    images = np.load(first)["images"]
    assert images.shape == (9, 1, 8, 8) and images.dtype == np.uint8
    assert np.array_equal(images, np.load(second)["images"])


def test_a_changed_sampler_is_refused(run_dir, capsys, tmp_path):
    weights = run_dir / "sampler" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    message = refused(capsys, "sample", run_dir, "--output", tmp_path / "grid.png")
    assert "has changed since it was exported" in message


def test_a_folder_that_is_no_run_is_refused(capsys, tmp_path):
    assert "is no run folder" in refused(capsys, "evaluate", tmp_path)
    assert "holds no sampler" in refused(capsys, "sample", tmp_path, "--output", tmp_path / "grid.png")


def test_an_output_of_unknown_kind_or_place_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    assert "must end in .png" in refused(capsys, "sample", tmp_path, "--output", "grid.jpg")
    for output, message in (
        (tmp_path / "nowhere" / "grid.png", "its folder does not exist"),
        (tmp_path / "file" / "grid.png", "is no folder"),
        (tmp_path / "folder.png", "is a folder; name a file in it"),
        ("/proc/grid.png", "cannot be written"),
        (f"{'x' * 300}.png", "cannot be used (File name too long)"),
    ):
        assert message in refused(capsys, "sample", tmp_path, "--output", output)


def test_a_batch_larger_than_the_data_is_refused(capsys, tiny, genlib_home):
    message = refused(capsys, "train", *tiny("vae", "training.batch_size=5000"))
    assert "training.batch_size (5000) is larger than the train split" in message


def test_a_home_that_cannot_be_written_to_is_refused(capsys, tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path / "file" / "home"))
    assert "cannot be written to" in refused(capsys, "train", *tiny("vae"))


def test_a_folder_with_other_files_is_not_taken_for_a_new_run(capsys, tiny, genlib_home, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    assert "is no run folder, but holds thesis.tex" in refused(capsys, "train", *tiny("vae"), "--run-dir", tmp_path)


def test_a_run_folder_that_cannot_be_made_is_refused(capsys, tiny, genlib_home, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(capsys, "train", *tiny("vae"), "--run-dir", tmp_path / "file" / "run")


def test_the_methods_are_listed_with_their_keys(capsys):
    assert main(["methods"]) == 0
    text = capsys.readouterr().out
    assert "method.name: vae_gan" in text and "network.name: dcgan" in text and "penalty.name: r1_r2" in text
    assert "loss = non_saturating (hinge | least_squares | minimax | non_saturating | relativistic | wass" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[:8]}
    networks, abilities = ["dcgan", "mlp", "r3gan", "resnet"], ["points", "labels", "images"]
    assert rows["method"] == [*networks, *abilities, "likelihood", "reconstruction"]
    assert rows["gan"] == ["yes"] * 7 + ["-"] * 2
    assert rows["vq_vae"] == ["-"] * 5 + ["yes", "-", "-", "yes"]
    assert "no batch norm in the discriminator" in " ".join(text.split())  # one of the rules


def test_every_key_is_listed_with_its_default_limits_and_meaning_in_120_columns():
    text = listing()
    assert max(map(len, text.splitlines())) <= 120
    assert "Pydantic" not in text and "its defaults" not in text
    blocks = {block.split()[0].rstrip(":") + block.split("\n")[0]: block for block in text.split("\n\n")}
    for key, section in sections_below(RunConfig):
        name = section.model_fields["name"].default if "name" in section.model_fields else ""
        start = f"{key}.name: {name}" if name else f"{key}"
        [block] = [block for block in blocks.values() if re.match(rf"{re.escape(start)}( - |:|$)", block)]
        for field in set(section.model_fields) - {"name"}:
            assert re.search(rf"^    {field} = \S+", block, re.M), (start, field)
    for line in (
        "steps = 1000 (1 to 1,000,000,000). Turns of the whole loop",
        "model = required (text). Registered model",
        "hidden_sizes = [512] (list of at most 1,000: 1 to 65,536). Units",
        "gradient_clip = null (above 0 to 1,000,000,000 | null). Largest",
        "generator_optimizer = {learning_rate: 0.0002, beta1: 0.5} (keys below).",
        "test_fraction = 0.1 (above 0 to below 1).",
        "compile = false (true | false).",
        "processes = 1 (1 to 100,000 | auto).",
    ):
        assert line in text, line


def test_a_training_under_a_launcher_speaks_of_bad_input_once(capsys, tiny, monkeypatch):
    launched = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for name, value in launched.items():
        monkeypatch.setitem(os.environ, name, value)
    assert main(["train", *tiny("vae", "training.stps=1")]) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("arguments", "code"), [(["methods"], 1), (["--help"], 0)])
def test_a_result_that_cannot_be_printed_is_an_error_and_a_reader_that_wants_no_more_is_none(arguments, code):
    command = [sys.executable, "-m", "genlib", *arguments]
    out, into = os.pipe()
    os.close(out)
    done = subprocess.run(command, cwd=PROJECT, stdout=into, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    os.close(into)
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == code and done.stderr.count("\n") == code
        assert not code or done.stderr == "error: the output could not be written (No space left on device).\n"


def test_a_launchers_variable_that_is_no_number_is_refused(capsys, tiny, monkeypatch):
    monkeypatch.setitem(os.environ, "RANK", "one")
    assert "RANK ('one') must be a whole number" in refused(capsys, "train", *tiny("vae"))
    assert "RANK ('one') must be a whole number" in refused(capsys, "evaluate", "runs/first")


def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(capsys, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("genlib.storage.paths.tempfile.TemporaryFile", read_only)
    for module in ("genlib.cli.options", "genlib.cli.evaluation"):
        monkeypatch.setattr(f"{module}.load_config", None)
    for arguments in (
        ["train", *tiny("vae"), "--run-dir", tmp_path / "run"],
        ["evaluate", "--images", tmp_path, "--data", "a.yaml", "--output", tmp_path / "report"],
        ["sample", tmp_path, "--output", tmp_path / "grid.png"],
    ):
        assert f"cannot be written ({tmp_path}: Read-only file system)" in refused(capsys, *arguments)


def read_only(dir):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.fixture
def given_run(genlib_home, tmp_path):
    """Of a model from 4x4 to 8x8 pixels."""
    from genlib.training.train import train
    from tests.family import tiny_config

    assert train(tiny_config("super_resolution_vae_digits"), tmp_path / "given") == 0
    return tmp_path / "given"


def test_samples_of_what_is_given_stand_in_its_row_and_agree_with_it(given_run, tmp_path):
    contexts = np.random.default_rng(0).integers(60, 200, (2, 1, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "given.npy", contexts)
    asked = ["sample", str(given_run), "--condition", str(tmp_path / "given.npy"), "--count", "3"]
    assert main([*asked, "--output", str(tmp_path / "grid.png")]) == 0
    assert Image.open(tmp_path / "grid.png").size == (4 * 34 + 2, 2 * 34 + 2)
    assert main([*asked, "--output", str(tmp_path / "all.npz")]) == 0
    images = np.load(tmp_path / "all.npz")["images"]
    means = images.reshape(2, 3, 1, 4, 2, 4, 2).mean((4, 6))
    assert images.shape == (6, 1, 8, 8) and np.abs(means - contexts[:, None]).max() < 1
    assert (images[0] != images[1]).any()


def test_a_condition_that_does_not_fit_is_refused(given_run, run_dir, capsys, tmp_path):
    output = ["--output", tmp_path / "grid.png"]
    Image.fromarray(np.zeros((5, 4), np.uint8)).save(tmp_path / "tall.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "right.png")
    np.savez(tmp_path / "whole.npz", np.zeros((1, 1, 4, 4), np.uint8))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-30])
    for asked, message in (
        ([given_run], "name with --condition images of 4x4 pixels with 1 channel"),
        ([given_run, "--condition", tmp_path / "tall.png"], "is 4x5 pixels, and condition low_resolution takes 4x4"),
        ([given_run, "--condition", tmp_path / "absent.png"], "absent.png cannot be read as an image"),
        ([given_run, "--condition", tmp_path / "right.png", "--count", "0"], "count (0) must be at least 1"),
        ([given_run, "--condition", tmp_path / "right.png", "--labels", "3"], "do not go together"),
        ([run_dir, "--condition", tmp_path / "right.png"], "was trained without a condition that is an image"),
        ([run_dir, "--condition", ""], "was trained without a condition that is an image"),
        ([given_run, "--condition", tmp_path / "cut.npz"], "cut.npz cannot be read as an array"),
        ([run_dir, "--guidance", "2"], "guidance: of samplers that draw codes (vq_vae)"),
        ([run_dir, "--complete", "a"], "--complete writes captions, and takes no --output"),
        ([run_dir, "--labels", "3"], "was trained without labels"),
        ([run_dir, "--labels", ""], "was trained without labels"),
        ([run_dir, "--resize"], "--resize scales the images that --condition names"),
        ([run_dir, "--count", "0"], "count (0) must be at least 1"),
        ([run_dir, "--count", "100000"], "a grid of 100000 images would have more than"),
        ([run_dir, "--count", str(10**30)], "a grid of"),
        ([run_dir, "--seed", "-1"], "seed (-1) must be at least 0"),
        ([run_dir, "--seed", str(2**63)], "seed (9223372036854775808) must be at most 9223372036854775807"),
        ([run_dir, "--truncation", "nan"], "truncation (nan) must be a number from 0 to 10"),
        ([run_dir, "--truncation", "1e-300"], "truncation (1e-300) must be a number from 0.001 to 10"),
    ):
        assert message in refused(capsys, "sample", *asked, *output)
    assert "knows no captions" in refused(capsys, "sample", run_dir, "--complete", "a")
    array = ["--output", tmp_path / "all.npz"]
    for count in (2**40, 10**18):
        assert "are free; ask for" in refused(capsys, "sample", run_dir, "--count", count, *array)
    assert not list(tmp_path.glob("*grid*")) and not (tmp_path / "all.npz").exists()


def test_images_of_another_size_are_taken_where_that_is_asked_for(given_run, capsys, tmp_path):
    (tmp_path / "folder").mkdir()
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(tmp_path / "folder" / "large.JPEG")
    (tmp_path / "folder" / "notes.txt").write_text("")
    asked = ["sample", given_run, "--condition", tmp_path / "folder", "--output", tmp_path / "all.npz"]
    assert "is 64x64 pixels, and condition low_resolution takes 4x4; give --resize" in refused(capsys, *asked)
    assert main([str(argument) for argument in [*asked, "--resize"]]) == 0
    images = np.load(tmp_path / "all.npz")["images"]
    assert np.abs(images.reshape(-1, 4, 2, 4, 2).mean((2, 4)) - 9.0).max() < 1


@pytest.fixture
def caption_run(genlib_home, tmp_path):
    from genlib.training.train import train
    from tests.family import tiny_config

    assert train(tiny_config("captions_digits"), tmp_path / "captions") == 0
    return tmp_path / "captions"


def test_images_are_drawn_for_captions_and_captions_are_completed(caption_run, capsys, tmp_path):
    (tmp_path / "two.txt").write_text("a four above a seven\ntwo ones\n")
    asked = ["sample", str(caption_run), "--output", str(tmp_path / "all.npz"), "--count", "3", "--condition"]
    assert main([*asked, str(tmp_path / "two.txt")]) == 0
    assert np.load(tmp_path / "all.npz")["images"].shape == (6, 1, 28, 28)
    likely = ["--temperature", "0.5", "--top-k", "1", "--guidance", "3"]
    assert main([*asked, "a four above a seven", *likely]) == 0
    images = np.load(tmp_path / "all.npz")["images"]
    assert images.shape == (3, 1, 28, 28) and (images[0] == images[1]).all()  # of one code at each place
    capsys.readouterr()
    complete = ["sample", str(caption_run), "--count", "4", "--complete", "a four"]
    assert main([*complete, "--seed", "1"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert len(first) == 4 and all(line.startswith("a four") for line in first)
    assert main([*complete, "--seed", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == first
    assert main([*complete, "--seed", "2"]) == 0
    assert capsys.readouterr().out.splitlines() != first


def test_captions_that_cannot_be_drawn_are_refused(caption_run, capsys):
    for asked, message in (
        ([], "name with --condition a caption, such as 'a four above a seven'."),
        (["--condition", "a sevn"], "the word 'sevn', which the model was not taught, did you mean 'seven'?"),
        (["--condition", "a " * 20], "has 20 words; use 1 to 16"),
        (["--condition", "."], "has 0 words"),
        (["--complete", "a sevn"], "did you mean 'seven'?"),
        (["--complete", "a", "--count", "0"], "count (0) must be at least 1"),
        (["--complete", "a", "--condition", "a one", "--top-k", "2"], "takes no --condition and no --top-k"),
        (["--condition", "a one", "--temperature", "0"], "temperature (0.0) must be a number from 0.001 to 1000"),
        (["--condition", "a one", "--temperature", "nan"], "temperature (nan) must be a number from 0.001 to 1000"),
        (["--condition", "a one", "--top-k", "0"], "top_k (0) must be at least 1"),
        (["--condition", "a one", "--guidance", "-1"], "guidance (-1.0) must be a number from 0 to 1000"),
    ):
        assert message in refused(capsys, "sample", caption_run, *asked)


@pytest.fixture
def labelled_run(tmp_path):
    """A run folder with nothing but the exported sampler of a conditional model of three classes."""
    from genlib.config.run import RunConfig
    from genlib.config.training import RegistryConfig
    from genlib.layers.base import DataSpec
    from genlib.methods.gan.config import GANConfig
    from genlib.networks.mlp.config import MLPConfig
    from genlib.sampling.export import export_sampler
    from genlib.sampling.sampler import TrainedSampler

    method = GANConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, conditioning="concat")
    config = RunConfig(method=method, registry=RegistryConfig(model="tiny"))
    torch.manual_seed(0)
    sampler = TrainedSampler(method.build(DataSpec((1, 8, 8), 3)).model.sampler, (1, 8, 8), [0.2, 0.6, 0.2])

    def named(*names):
        (tmp_path / "labelled").mkdir(exist_ok=True)
        export_sampler(tmp_path / "labelled" / "sampler", sampler, config, list(names), {})
        return tmp_path / "labelled"

    return named, sampler


def test_labels_are_names_before_they_are_indices_and_may_hold_commas(labelled_run, capsys, tmp_path):
    named, sampler = labelled_run
    output = ["--output", str(tmp_path / "all.npz"), "--count", "4"]

    def drawn(run, *lists):
        labels = [argument for given in lists for argument in ("--labels", given)]
        assert main(["sample", str(run), *labels, *output]) == 0
        return np.load(tmp_path / "all.npz")["images"]

    def expected(*labels):
        return sampler.images(4, labels=torch.tensor(labels)).numpy()

    run = named("red, ripe", "red", "ripe")
    assert np.array_equal(drawn(run, "red, ripe"), expected(0, 0, 0, 0))
    assert np.array_equal(drawn(run, "red,ripe", "red, ripe"), expected(1, 2, 0, 1))
    assert np.array_equal(drawn(run, "2,0"), expected(2, 0, 2, 0))
    assert "5 labels for 4 images" in refused(capsys, "sample", run, "--labels", "0,1,2,0,1", *output)
    for label in ("", "red,", "--5", "²", "１", str(10**26), "3", "1.0"):
        assert "is unknown" in refused(capsys, "sample", run, f"--labels={label}", *output)
    run = named("1", "10", "2")
    assert np.array_equal(drawn(run, "1,2"), expected(0, 2, 0, 2))
    assert "; use a name: 1, 10, 2." in refused(capsys, "sample", run, "--labels", "0", *output)
