import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from genlib.config.run import RunConfig
from genlib.config.training import RegistryConfig
from genlib.errors import UserError
from genlib.layers.base import DataSpec
from genlib.methods.gan.config import GANConfig
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.mlp.config import MLPConfig
from genlib.sampling.draw import CHUNK, draw_labels, draw_latents
from genlib.sampling.export import export_sampler
from genlib.sampling.grid import sample_grid
from genlib.sampling.load import load_sampler
from genlib.sampling.sampler import TrainedSampler
from genlib.storage.files import sha256_of_file
from genlib.storage.tensors import load_weights
from genlib.training.settle import estimate_norms
from tests.family import NAMES, tiny_config

CONFIG = RunConfig(method=GANConfig(network=DCGANConfig(width=4), latent_size=3), registry=RegistryConfig(model="tiny"))
SHAPE = (1, 8, 8)


@pytest.fixture
def exported(tmp_path):
    torch.manual_seed(1)
    sampler = TrainedSampler(CONFIG.method.build(DataSpec(SHAPE)).model.sampler, SHAPE, [0.25, 0.75])
    estimate_norms(sampler.module)
    export_sampler(tmp_path / "sampler", sampler, CONFIG, ["zero", "one"], {"step": 5})
    return tmp_path / "sampler", sampler


def test_a_loaded_sampler_draws_what_the_exported_one_drew(exported):
    folder, original = exported
    loaded = load_sampler(folder)
    assert torch.equal(loaded.images(10, seed=4), original.images(10, seed=4))
    assert (loaded.image_shape, loaded.latent_size, loaded.label_names) == (SHAPE, 3, ["zero", "one"])
    assert loaded.info["step"] == 5


def test_loading_leaves_the_global_generator_alone(exported):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_sampler(exported[0]).images(3)
    assert torch.equal(torch.rand(3), expected)


def test_image_i_of_a_seed_does_not_depend_on_how_many_are_asked_for(exported):
    sampler = load_sampler(exported[0])
    many = sampler.images(CHUNK + 20, seed=7)
    assert many.shape == (CHUNK + 20, *SHAPE) and many.dtype == torch.uint8
    assert torch.equal(sampler.chunk(1, seed=7)[:20], many[CHUNK:])
    assert (sampler.images(5, seed=7).int() - many[:5].int()).abs().max() <= 1  # kernels differ with the batch's size
    assert not torch.equal(sampler.images(5, seed=8), many[:5])


def test_truncated_latents_follow_the_normal_distribution_within_the_bound():
    latents = torch.cat([draw_latents(64, 0, chunk, truncation=1.0) for chunk in range(8)])
    assert latents.abs().max() <= 1
    # Var of N(0, 1) on [-1, 1]: 1 - 2 phi(1) / (2 Phi(1) - 1).
    assert_close(latents.var(), torch.tensor(0.2912), atol=3e-3, rtol=0)
    free = torch.cat([draw_latents(64, 0, chunk) for chunk in range(8)])
    assert_close(free.var(), torch.tensor(1.0), atol=0.02, rtol=0)


def test_changed_weights_are_refused(exported):
    weights = exported[0] / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="has changed since it was exported"):
        load_sampler(exported[0])


def test_weights_of_another_version_are_refused(tmp_path):
    module, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 3)
    save_file(other.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="made by another version of genlib"):
        load_weights(module, tmp_path / "weights.safetensors")


def test_a_folder_without_a_sampler_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no sampler"):
        load_sampler(tmp_path)


def test_a_second_export_replaces_the_first(exported):
    folder, original = exported
    export_sampler(folder, original, CONFIG, None, {"step": 9})
    assert load_sampler(folder).info["step"] == 9
    assert [path.name for path in folder.parent.iterdir()] == ["sampler"]


IMPOSSIBLE = {
    "count": (0, -1, 1.5, True, "1", None, float("nan"), 2**63),
    "truncation": (-1.0, float("nan"), float("inf"), 1e30, 1e-300, True),
    "seed": (-1, 2**63, 0.5, True, "1"),
}


def test_impossible_requests_are_refused(exported):
    sampler = load_sampler(exported[0])
    for name, values in IMPOSSIBLE.items():
        for value in values:
            with pytest.raises(UserError, match=name):
                sampler.images(**{"count": 1, name: value})


def test_labels_are_refused_by_a_sampler_that_was_trained_without(exported):
    with pytest.raises(UserError, match="without labels"):
        load_sampler(exported[0]).images(1, labels=torch.zeros(1))


@pytest.fixture
def conditional(tmp_path):
    """An exported sampler of three classes, the second thrice as frequent as either other."""
    torch.manual_seed(1)
    method = GANConfig(network=DCGANConfig(width=4), latent_size=3, conditioning="batch_norm")
    config = CONFIG.model_copy(update={"method": method})
    shares = [0.2, 0.6, 0.2]
    sampler = TrainedSampler(method.build(DataSpec(SHAPE, 3)).model.sampler, SHAPE, shares)
    for embedding in (layer for layer in sampler.module.modules() if isinstance(layer, torch.nn.Embedding)):
        torch.nn.init.normal_(embedding.weight)
    estimate_norms(sampler.module, shares)
    export_sampler(tmp_path / "sampler", sampler, config, ["cat", "dog", "owl"], {"step": 5})
    return load_sampler(tmp_path / "sampler")


def test_labels_are_drawn_as_often_as_the_data_has_them_and_are_the_seeds():
    drawn = torch.cat([draw_labels([0.2, 0.6, 0.2], 0, chunk) for chunk in range(20)])
    assert_close(torch.bincount(drawn) / len(drawn), torch.tensor([0.2, 0.6, 0.2]), atol=0.02, rtol=0)
    assert torch.equal(draw_labels([0.5, 0.5], 3, 1), draw_labels([0.5, 0.5], 3, 1))
    assert not torch.equal(draw_labels([0.5, 0.5], 3, 1), draw_labels([0.5, 0.5], 4, 1))


def test_images_without_a_wish_are_those_of_the_labels_drawn(conditional):
    drawn = conditional.labels(0, seed=2)[:40]
    assert torch.equal(conditional.images(40, seed=2), conditional.images(40, seed=2, labels=drawn))
    assert not torch.equal(conditional.images(40, seed=2), conditional.images(40, seed=2, labels=(drawn + 1) % 3))


def test_labels_may_be_names_or_numbers_and_are_taken_in_turn(conditional):
    assert conditional.labels_named(["owl", "0"], 5).tolist() == [2, 0, 2, 0, 2]
    for names, message in ((["dgo"], "did you mean 'dog'"), (["-2"], "label '-2' is unknown; use 0 to 2, or a name")):
        with pytest.raises(UserError, match=message):
            conditional.images(2, labels=conditional.labels_named(names, 2))
    with pytest.raises(UserError, match="3 labels for 2 images"):
        conditional.images(2, labels=torch.tensor([0, 1, 2]))


def test_what_is_shown_of_a_conditional_sampler_has_a_column_for_each_label(conditional):
    shown = sample_grid(conditional, 64, seed=1)
    assert shown.columns == 3 and len(shown.images) == 63
    assert torch.equal(shown.images, conditional.images(63, 1, labels=torch.arange(3).repeat(21)))


def test_a_sampler_of_points_gives_points_and_shows_many():
    sampler = GANConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=2).build(DataSpec((2,))).model.sampler
    points = TrainedSampler(sampler, (2,))
    assert points.images(300).shape == (300, 2) and points.images(3).dtype == torch.float32
    assert len(sample_grid(points, 64).images) == 2048


def test_more_images_than_memory_holds_are_refused_before_any_is_drawn(exported, monkeypatch):
    monkeypatch.setattr("genlib.sampling.requests.free_memory", lambda: 2 * 64 * 10)
    sampler = load_sampler(exported[0])
    assert len(sampler.images(10)) == 10
    with pytest.raises(UserError, match=r"count \(11\): so many images of 1x8x8 .* ask for 10 at most"):
        sampler.images(11)


def test_seeds_that_differ_only_in_their_high_bits_give_other_latents():
    drawn = {draw_latents(2, seed, 0)[0, 0].item() for seed in (1, 1 + 2**32, 1 + 2**62)}
    assert len(drawn) == 3


def test_labels_are_indices_only_where_no_name_reads_as_a_number(conditional):
    for names in (["1", "2", "10"], ["1.0", "2.0", "3.0"], ["cat", "dog", "7"]):
        conditional.label_names = names
        with pytest.raises(UserError, match=f"label '0' is unknown.*; use a name: {', '.join(names)}"):
            conditional.labels_named(["0"], 1)
        assert conditional.labels_named(names, 3).tolist() == [0, 1, 2]
    assert conditional.labels_named([7, 7.0, "cat"], 3).tolist() == [2, 2, 0]
    conditional.label_names = None
    assert conditional.labels_named([2, "1"], 2).tolist() == [2, 1]
    with pytest.raises(UserError, match="label 3 is unknown; use 0 to 2"):
        conditional.labels_named([3], 1)
    conditional.label_names = [f"<{label}>" for label in range(12)]
    with pytest.raises(UserError, match=r"<0>, .*, <9> \(and 2 more\)"):
        conditional.labels_named(["x"], 1)


def described(folder, **changes):
    """Write an export's config.json anew, with some keys changed."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_old_export_whose_names_are_numbers_loads(conditional, tmp_path):
    described(tmp_path / "sampler", label_names=[1, 2, 10])
    sampler = load_sampler(tmp_path / "sampler")
    assert sampler.label_names == ["1", "2", "10"] and sampler.labels_named(["10"], 1).tolist() == [2]


NO_DESCRIPTIONS = [
    ({"label_names": ["cat", "dog"]}, "2 label_names stand beside 3 label_shares"),
    ({"label_names": [["cat"], "dog", "owl"]}, "label_names"),
    ({"label_names": [True, "dog", "owl"]}, "label_names"),
    ({"label_shares": [0.2, 0.2, 0.2]}, "label_shares add up to 0.6, not to 1"),
    ({"label_shares": [0.5, float("nan"), 0.5]}, "label_shares"),
    ({"label_shares": [-1.0, 1.0, 1.0]}, "label_shares"),
    ({"label_shares": None}, "needs labels"),
    ({"image_shape": [1, 2**40, 2**40]}, "image_shape"),
    ({"image_shape": [1, 0, 8]}, "image_shape"),
    ({"image_shape": [7, 8, 8]}, "image_shape"),
    ({"image_shape": "8x8"}, "image_shape"),
    ({"image_shape": [1, 9, 9]}, "describes no sampler"),
    ({"method": []}, "method"),
    ({"method": {"name": "gann"}}, "did you mean 'gan'"),
    ({"info": {"weights_sha256": 3}}, "weights_sha256"),
    ({"condition": {"name": "masked"}}, "does not fit|describes no sampler"),
    ({"condition": {"name": "caption"}, "scene_names": ["cat"]}, "describes no sampler"),
]


def test_a_description_that_cannot_be_is_refused_in_a_line(conditional, tmp_path):
    whole = json.loads((tmp_path / "sampler" / "config.json").read_text())
    for changes, message in NO_DESCRIPTIONS:
        described(tmp_path / "sampler", **(whole | changes))
        with pytest.raises(UserError, match=message) as error:
            load_sampler(tmp_path / "sampler")
        assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_weights_are_compared_with_the_description_before_anything_is_allocated(exported):
    """The generator would have 70 TB of weights, and the discriminator as many."""
    method = json.loads((exported[0] / "config.json").read_text())["method"]
    method["network"] |= {"width": 2**16}
    method["latent_size"] = 2**16
    described(exported[0], method=method)
    with pytest.raises(UserError, match="does not fit the config.json beside it: of .* there is float32 of shape"):
        load_sampler(exported[0])


def test_weights_of_another_type_or_with_others_beside_are_refused(exported):
    folder = exported[0]
    tensors = load_file(folder / "weights.safetensors")
    first = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    for changed in (tensors | {first: tensors[first].double()}, tensors | {"more": torch.zeros(1)}):
        save_file(changed, folder / "weights.safetensors")
        described(folder, info={"weights_sha256": sha256_of_file(folder / "weights.safetensors")})
        with pytest.raises(UserError, match="does not fit the config.json beside it"):
            load_sampler(folder)


def test_weights_that_are_no_numbers_are_refused(exported):
    weights = exported[0] / "weights.safetensors"
    tensors = load_file(weights)
    name = next(name for name, _ in exported[1].module.named_parameters())
    tensors[name].view(-1)[-1] = float("nan")
    save_file(tensors, weights)
    described(exported[0], info={"weights_sha256": sha256_of_file(weights)})
    with pytest.raises(UserError, match=f"holds NaN or infinity in {name}"):
        load_sampler(exported[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_loads_without_the_rest_of_its_method_and_draws_the_same(name, tmp_path):
    config = tiny_config(name)
    shape = (2,) if config.data.is_points else (config.data.channels, config.data.image_size, config.data.image_size)
    condition = config.condition.build(shape, ["cat", "dog"])
    torch.manual_seed(0)
    module = config.method.build(DataSpec(shape, 2, condition=condition)).model.sampler
    sampler = TrainedSampler(module, shape, [0.5, 0.5])
    export_sampler(tmp_path / "sampler", sampler, config, None, {})
    noise = draw_latents(module.latent_size, 0, 0)[:2]
    given = condition.taken(condition.example()).expand(2, *condition.shape) if condition else torch.arange(2)
    with torch.no_grad():
        assert torch.equal(load_sampler(tmp_path / "sampler").module(noise, given), module(noise, given))


def test_a_sampler_of_codes_takes_no_truncation(tmp_path):
    config = tiny_config("vq_vae_digits")
    sampler = TrainedSampler(config.method.build(DataSpec(SHAPE)).model.sampler, SHAPE)
    with pytest.raises(UserError, match="this sampler draws codes; give a temperature below 1"):
        sampler.images(1, truncation=0.5)
    assert len(sampler.images(1, truncation=0)) == 1
