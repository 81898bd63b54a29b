"""DINOv2: its preprocessing against Pillow's, its features against the model's own, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from genlib.errors import UserError
from genlib.evaluation.extractors.dinov2 import config as dinov2_weights
from genlib.evaluation.extractors.dinov2.config import check_dinov2, dinov2_features
from genlib.evaluation.extractors.dinov2.network import dinov2_extractor, preprocess
from genlib.evaluation.features import Extractor
from tests.conftest import PROJECT

transformers = pytest.importorskip("transformers")

Make = Callable[..., Path]


@pytest.fixture
def make_weights(tmp_path: Path) -> Make:
    def make(name: str = "weights", seed: int = 0, kind: str = "Dinov2", **changes: object) -> Path:
        settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56}
        config = getattr(transformers, f"{kind}Config")(**settings | {"patch_size": 14} | changes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = getattr(transformers, f"{kind}Model")(config)
            for parameter in model.parameters():  # as initialised, layer scale and class token would hide the image
                parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def extractor(make_weights: Make) -> Extractor:
    return dinov2_extractor(str(make_weights()), None)


def random_images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def with_pillow(image: Tensor) -> np.ndarray:
    """uint8 (3, H, W) => (3, 224, 224): each channel by Pillow's resize of floats, then the formula."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    channels = []
    for channel in range(3):
        grey = Image.fromarray(image[channel].numpy().astype(np.float32))
        pixels = np.asarray(grey.resize((224, 224), Image.Resampling.BICUBIC), np.float64)
        channels.append((pixels.clip(0, 255) / 255 - mean[channel]) / std[channel])
    return np.stack(channels)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (45, 64), (224, 224), (300, 500)])
def test_the_preprocessing_is_pillows_resize_in_floats(size: tuple[int, int]) -> None:
    image = random_images(3, *size)
    # PyTorch's positions are float32: off by 3e-5 at 500, times at most 400 levels a pixel, over 255 * 0.225.
    np.testing.assert_allclose(preprocess(image[None])[0].numpy(), with_pillow(image), atol=2e-4)


@pytest.mark.parametrize("size", [(32, 32), (300, 500)])
def test_the_preprocessing_is_the_packages_own_but_for_its_rounding(size: tuple[int, int]) -> None:
    """It resizes uint8, rounding after each direction: half a level, and half a level times the weights' sizes.

    (And clipping after each; so here is no pixel so dark or bright that it would overshoot.)
    """
    image = 64 + random_images(3, *size) // 2
    processor = transformers.BitImageProcessorPil(
        size={"height": 224, "width": 224},
        do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    theirs = processor(Image.fromarray(image.permute(1, 2, 0).numpy()), return_tensors="pt").pixel_values
    levels = (preprocess(image[None]) - theirs).abs() * torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1) * 255
    assert levels.max() < 1.5
    assert levels.mean() < 0.5


def test_features_are_the_models_normed_class_token_of_pillows_pixels(make_weights: Make) -> None:
    folder, images = make_weights(), random_images(3, 3, 20, 30)
    model = transformers.Dinov2Model.from_pretrained(folder, attn_implementation="eager").eval()
    pixels = torch.from_numpy(np.stack([with_pillow(image) for image in images])).float()
    with torch.no_grad():
        last = model(pixels, output_hidden_states=True).hidden_states[-1]
    expected = torch.nn.functional.layer_norm(last[:, 0], (32,), model.layernorm.weight, model.layernorm.bias, 1e-6)
    features = dinov2_extractor(str(folder), None)(images)
    assert features.shape == (3, 32) and features.dtype == torch.float32
    # Features are of size 1; two other orders of summation in float32, through two layers.
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-4)
    assert (features[0] - features[1]).abs().max() > 0.01  # the images do matter


def test_the_extractor_says_what_it_is(extractor: Extractor, make_weights: Make) -> None:
    assert (extractor.name, extractor.num_features) == ("dinov2", 32)
    assert extractor.facts["weights"].endswith("weights") and extractor.facts["revision"] is None
    assert "class token" in extractor.facts["layer"] and "224" in extractor.facts["resize"]


def test_the_extractor_is_frozen_and_deterministic(make_weights: Make) -> None:
    folder, images = str(make_weights(hidden_dropout_prob=0.5, drop_path_rate=0.5)), random_images(2, 3, 16, 16)
    extractor = dinov2_extractor(folder, None)
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    assert not any(module.training for module in extractor.train().modules())
    features = extractor(images)
    assert not features.requires_grad
    torch.testing.assert_close(features, extractor(images), rtol=0, atol=0)
    torch.testing.assert_close(features, dinov2_extractor(folder, None)(images), rtol=0, atol=0)


def test_reading_the_weights_draws_no_random_numbers(make_weights: Make) -> None:
    folder, state = make_weights(), torch.get_rng_state()
    dinov2_extractor(str(folder), None)
    assert torch.equal(torch.get_rng_state(), state)


def test_half_precision_weights_are_widened(make_weights: Make) -> None:
    folder = make_weights()
    halved = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(halved, folder / "model.safetensors", {"format": "pt"})
    extractor = dinov2_extractor(str(folder), None)
    assert {parameter.dtype for parameter in extractor.parameters()} == {torch.float32}


def test_the_batch_size_changes_nothing(extractor: Extractor) -> None:
    images = random_images(5, 3, 16, 16)
    one_by_one = torch.cat([extractor(image[None]) for image in images])
    torch.testing.assert_close(extractor(images), one_by_one, rtol=0, atol=1e-5)  # float32, another matrix product


def test_grey_images_are_taken_as_three_equal_channels(extractor: Extractor) -> None:
    grey = random_images(2, 1, 9, 12)
    torch.testing.assert_close(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))


def test_the_hash_is_the_weights_and_the_configurations(make_weights: Make, extractor: Extractor) -> None:
    assert dinov2_extractor(str(make_weights("again")), None).hash == extractor.hash
    assert dinov2_extractor(str(make_weights("other", seed=1)), None).hash != extractor.hash
    assert dinov2_extractor(str(make_weights("config", layer_norm_eps=1e-5)), None).hash != extractor.hash


def test_a_cached_hub_model_is_named_by_its_commit(
    make_weights: Make, extractor: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, repository = "0123456789" * 4, tmp_path / "cache" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    make_weights().rename(repository / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for revision in (None, commit):
        found = dinov2_extractor("someone/tiny", revision)
        assert (found.facts["weights"], found.facts["revision"]) == ("someone/tiny", commit)
        assert found.hash == extractor.hash


def test_a_hub_out_of_reach_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="hub cannot be reached .* mend the connection, or name a folder") as raised:
        dinov2_extractor("someone/tiny", None)
    assert "\n" not in str(raised.value)


def test_a_revision_of_a_folder_is_refused(make_weights: Make) -> None:
    with pytest.raises(UserError, match="has no revision 'main'; leave the revision out"):
        dinov2_extractor(str(make_weights()), "main")


def test_a_missing_package_is_refused_with_its_remedy(make_weights: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(make_weights())
    monkeypatch.setattr(dinov2_weights, "find_spec", lambda name: None)
    for call in (lambda: check_dinov2(folder), lambda: dinov2_extractor(folder, None)):
        with pytest.raises(UserError, match=r"needs the package transformers; pip install 'genlib\[dinov2\]'"):
            call()


def test_a_local_folders_features_are_counted_without_loading_it(make_weights: Make) -> None:
    folder = make_weights()
    (folder / "model.safetensors").write_bytes(b"not read")
    assert dinov2_features(str(folder)) == 32
    assert dinov2_features("facebook/dinov2-large") is None


@pytest.mark.parametrize("weights", ["absent", "./absent/model", "/absent", "a/b/c"])
def test_a_path_that_is_not_there_is_refused(weights: str) -> None:
    for call in (check_dinov2, dinov2_features, lambda name: dinov2_extractor(name, None)):
        with pytest.raises(UserError, match="neither a folder here nor owner/name; name a folder with config.json"):
            call(weights)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(name: str, make_weights: Make) -> None:
    folder = make_weights()
    (folder / name).unlink()
    for call in (check_dinov2, dinov2_features, lambda name: dinov2_extractor(name, None)):
        with pytest.raises(UserError, match=f"lack {name}; name a folder"):
            call(str(folder))


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}", '{"model_type": "dinov2"}'])
def test_a_configuration_of_something_else_is_refused(content: str, make_weights: Make) -> None:
    folder = make_weights()
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match="does not describe a DINOv2 model; name"):
        check_dinov2(str(folder))


def test_another_kind_of_model_is_refused(make_weights: Make) -> None:
    folder = str(make_weights(kind="Dinov2WithRegisters"))
    for call in (check_dinov2, lambda name: dinov2_extractor(name, None)):
        with pytest.raises(UserError, match="describes a 'dinov2_with_registers' model, not a 'dinov2' one"):
            call(folder)


@pytest.mark.parametrize("change", [{"num_hidden_layers": 3}, {"num_hidden_layers": 1}, {"hidden_size": 48}])
def test_weights_that_their_configuration_does_not_describe_are_refused(
    change: dict[str, int], make_weights: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_weights()
    file = folder / "config.json"
    changes = change | {"out_features": None, "out_indices": None}
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    capfd.readouterr()
    with pytest.raises(UserError, match="differ from what their config.json describes in .* tensors") as raised:
        dinov2_extractor(str(folder), None)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_a_damaged_weights_file_is_refused(make_weights: Make) -> None:
    folder = make_weights()
    (folder / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(UserError, match="cannot be loaded .* name a folder"):
        dinov2_extractor(str(folder), None)


def test_the_check_needs_neither_torch_nor_the_package() -> None:
    program = (
        "import sys; from genlib.evaluation.extractors.dinov2.config import check_dinov2; "
        "check_dinov2('facebook/dinov2-large'); assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT)
