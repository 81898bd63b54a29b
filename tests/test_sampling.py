import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from genlib.config import DCGANConfig, GANConfig, MLPConfig, RegistryConfig, RunConfig
from genlib.errors import UserError
from genlib.methods import build_method
from genlib.networks.base import DataSpec
from genlib.sampling import (
    CHUNK,
    TrainedSampler,
    draw_labels,
    draw_latents,
    estimate_norms,
    export_sampler,
    load_sampler,
    load_weights,
)

CONFIG = RunConfig(method=GANConfig(network=DCGANConfig(width=4), latent_size=3), registry=RegistryConfig(model="tiny"))
SHAPE = (1, 8, 8)


@pytest.fixture
def exported(tmp_path):
    torch.manual_seed(1)
    sampler = TrainedSampler(build_method(CONFIG.method, DataSpec(SHAPE)).model.sampler, SHAPE, [0.25, 0.75])
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


@pytest.mark.parametrize(
    ("arguments", "message"), [({"count": 0}, "count"), ({"count": 1, "truncation": -1.0}, "trunc")]
)
def test_impossible_requests_are_refused(exported, arguments, message):
    with pytest.raises(UserError, match=message):
        load_sampler(exported[0]).images(**arguments)


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
    sampler = TrainedSampler(build_method(method, DataSpec(SHAPE, 3)).model.sampler, SHAPE, shares)
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
    for names, message in ((["dgo"], "did you mean 'dog'"), (["-2"], "label -2 is unknown; use 0 to 2, or a name")):
        with pytest.raises(UserError, match=message):
            conditional.images(2, labels=conditional.labels_named(names, 2))
    with pytest.raises(UserError, match="3 labels for 2 images"):
        conditional.images(2, labels=torch.tensor([0, 1, 2]))


def test_what_is_shown_of_a_conditional_sampler_has_a_column_for_each_label(conditional):
    shown = conditional.exhibit(64, seed=1)
    assert shown.columns == 3 and len(shown.images) == 63
    assert torch.equal(shown.images, conditional.images(63, 1, labels=torch.arange(3).repeat(21)))


def test_a_sampler_of_points_gives_points_and_shows_many():
    sampler = build_method(GANConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=2), DataSpec((2,))).model.sampler
    points = TrainedSampler(sampler, (2,))
    assert points.images(300).shape == (300, 2) and points.images(3).dtype == torch.float32
    assert len(points.exhibit(64).images) == 2048
