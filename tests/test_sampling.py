import pytest
import torch
from torch.testing import assert_close

from genlib.config import DCGANConfig, GANConfig, RegistryConfig, RunConfig
from genlib.errors import UserError
from genlib.methods import build_method
from genlib.sampling import CHUNK, TrainedSampler, draw_latents, estimate_norms, export_sampler, load_sampler

CONFIG = RunConfig(method=GANConfig(network=DCGANConfig(width=4), latent_size=3), registry=RegistryConfig(model="tiny"))
SHAPE = (1, 8, 8)


@pytest.fixture
def exported(tmp_path):
    torch.manual_seed(1)
    module = build_method(CONFIG.method, SHAPE).model
    estimate_norms(module)
    export_sampler(tmp_path / "sampler", module, CONFIG, SHAPE, ["zero", "one"], {"step": 5})
    return tmp_path / "sampler", TrainedSampler(module, SHAPE)


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


def test_a_folder_without_a_sampler_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no sampler"):
        load_sampler(tmp_path)


def test_a_second_export_replaces_the_first(exported):
    folder, original = exported
    export_sampler(folder, original.module, CONFIG, SHAPE, None, {"step": 9})
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
