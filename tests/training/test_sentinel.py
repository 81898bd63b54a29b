"""Signs of collapse: told once they last, and seen in values that the losses really log."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from genlib.choices.discovery import choices_of_kind
from genlib.layers.base import DataSpec
from genlib.losses.adversarial import AdversarialLoss
from genlib.losses.gaussians import kl_to_standard_normal_by_dimension, largest_kl
from genlib.models.base import Batch, Symptom
from genlib.models.collapse import SATURATED, diversity
from genlib.training.state.sentinel import Sentinel
from tests.family import tiny_config

LOSSES = {name: kind() for name, kind in choices_of_kind(AdversarialLoss).items()}
SATURATION = Symptom("discriminator/total", 0.5, "saturated")
UNUSED = Symptom("vae/largest_kl", 0.1, "unused")


def sentinel(signs=None, lasting=20):
    watch = Sentinel((SATURATION, UNUSED), lasting)
    watch.load_state_dict({"signs": signs or {}})
    return watch


def told(watch, *values, start=0, every=10):
    """At which steps something is said of the discriminator's loss."""
    steps = range(start, start + every * len(values), every)
    return [step for step, value in zip(steps, values, strict=True) if watch.look(step, {SATURATION.value: value})]


def test_a_sign_is_told_once_and_only_when_it_has_lasted():
    assert told(sentinel(), 0.1, 0.1, 0.1, 0.1, 0.1) == [20]


def test_the_sentence_says_what_was_seen_where_and_how_long():
    watch = sentinel()
    told(watch, 0.1, 0.1)
    assert watch.look(25, {SATURATION.value: 0.2}) == ["saturated (discriminator/total below 0.5 from step 0 to 25)"]


def test_a_value_at_the_limit_is_no_sign():
    assert told(sentinel(), 0.5, 0.5, 0.5, 0.5) == []


def test_a_sign_that_passes_is_forgotten_and_must_last_anew():
    watch = sentinel()
    assert told(watch, 0.1, 0.1, 0.9, 0.1, 0.1) == []
    assert watch.signs == {SATURATION.value: [30, 40]}
    assert told(watch, 0.9, start=50) == [] and watch.signs == {} and watch.standing() == []


def test_a_sign_that_returns_is_told_again():
    assert told(sentinel(), 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1) == [20, 60]


def test_values_that_are_not_logged_at_a_step_leave_a_sign_as_it_is():
    watch = sentinel()
    told(watch, 0.1)
    assert watch.look(10, {"vae/kl": 0.0}) == []
    assert watch.signs == {SATURATION.value: [0, 0]}
    assert told(watch, 0.1, start=20) == [20]


def test_each_value_is_watched_for_itself():
    watch = sentinel()
    both = {SATURATION.value: 0.1, UNUSED.value: 0.01}
    assert watch.look(0, {UNUSED.value: 0.01}) == []
    assert watch.look(10, both) == []
    assert [news.split()[0] for news in watch.look(20, both)] == ["unused"]
    assert [news.split()[0] for news in watch.look(30, both)] == ["saturated"]
    assert [sentence.split()[0] for sentence in watch.standing()] == ["saturated", "unused"]


def test_rebuilt_from_its_signs_it_goes_on_counting():
    before = sentinel()
    told(before, 0.1, 0.1)
    again = sentinel(deepcopy(before.state_dict()["signs"]))
    assert told(again, 0.1, start=20) == [20]
    (sentence,) = sentinel(again.signs).standing()
    assert sentence.startswith("saturated (")


def batch_for(name):
    torch.manual_seed(0)
    config = tiny_config(name)
    if config.data.is_points:
        return config, DataSpec((2,), rows=200), Batch(torch.randn(16, 2), None)
    channels = config.data.channels
    images = torch.rand(16, channels, 8, 8).round() * 2 - 1
    return config, DataSpec((channels, 8, 8), classes=10, rows=200), Batch(images, torch.arange(16) % 10)


def logged_by(method, batch):
    """<phase>/<part> of one step's losses, as a run logs them."""
    method.begin_step(0)
    return {
        f"{phase.name}/{part}": value
        for phase in method.phases
        for part, value in method.loss(phase.name, batch).items()
        if value.dim() == 0
    }


def built(name, **changes):
    config, data, batch = batch_for(name)
    return config.method.model_copy(update=changes).build(data), batch


@pytest.mark.parametrize(
    ("name", "watched"),
    [
        ("vae_digits", {"vae/largest_kl"}),
        ("beta_tc_vae_digits", {"vae/largest_kl"}),
        ("wae_mmd_mnist", {"vae/largest_kl"}),
        ("iwae_digits", {"iwae/largest_kl"}),
        ("hierarchical_vae_mnist", set()),  # its KL is no closed form
        ("vae_gan_digits", {"encoder/largest_kl", "discriminator/total", "discriminator/diversity"}),
        ("dcgan_digits", {"discriminator/adversarial", "discriminator/diversity"}),
        ("wgan_gp_swiss_roll", {"discriminator/diversity"}),
        ("autoencoder_digits", set()),
        ("vq_vae_digits", set()),
    ],
)
def test_what_is_watched_is_what_the_losses_log(name, watched):
    method, batch = built(name)
    logged = logged_by(method, batch)
    found = {symptom.value for symptom in method.symptoms} - {"evaluation/coverage"}  # which no loss logs
    assert found == watched
    assert all(logged[value].isfinite() for value in watched)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_discriminator_is_saturated_below_a_hundredth_of_its_loss_where_all_scores_are_zero(loss):
    """Hinge: 1 + 1. Least squares: 1/2. Two logits: 2 log 2. One of a pair: log 2. Wasserstein has no lower bound."""
    undecided = {"hinge": 2, "least_squares": 0.5, "relativistic": math.log(2), "wasserstein": 0}
    method, batch = built("dcgan_digits", loss=LOSSES[loss])
    for parameter in method.discriminator.parameters():
        nn.init.zeros_(parameter)
    expected = undecided.get(loss, 2 * math.log(2))
    assert logged_by(method, batch)["discriminator/adversarial"].item() == pytest.approx(expected)
    limits = {symptom.value: symptom.below for symptom in method.symptoms}
    assert limits.pop("discriminator/adversarial", 0) == pytest.approx(SATURATED * expected)
    assert limits.keys() == {"discriminator/diversity", "evaluation/coverage"}


def test_a_vae_gans_discriminator_is_undecided_at_three_terms_of_log_two():
    method, batch = built("vae_gan_digits")
    for parameter in method.discriminator.parameters():
        nn.init.zeros_(parameter)
    undecided = logged_by(method, batch)["discriminator/total"].item()
    limits = {symptom.value: symptom.below for symptom in method.symptoms}
    assert limits["discriminator/total"] == pytest.approx(SATURATED * undecided)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "wasserstein"])
def test_a_discriminator_that_is_sure_lies_below_the_limit_and_one_that_errs_above(loss):
    undecided = LOSSES[loss].discriminator(torch.zeros(1), torch.zeros(1))
    # Least squares wants the labels 1 and 0, and no further.
    real, fake = torch.tensor([1.0 if loss == "least_squares" else 9.0]), torch.tensor([0.0])
    fake = fake if loss == "least_squares" else -real
    assert LOSSES[loss].discriminator(real, fake) < SATURATED * undecided
    assert LOSSES[loss].discriminator(fake, real) > undecided


@pytest.mark.parametrize(
    ("name", "phase"), [("vae_digits", "vae"), ("iwae_digits", "iwae"), ("vae_gan_digits", "encoder")]
)
def test_an_encoder_that_tells_nothing_apart_shows_the_sign(name, phase):
    method, batch = built(name)
    for parameter in method.model.encoder.parameters():
        nn.init.zeros_(parameter)
    values = logged_by(method, batch)
    (symptom,) = [symptom for symptom in method.symptoms if symptom.value == f"{phase}/largest_kl"]
    assert values[symptom.value] == 0 < symptom.below


@pytest.mark.parametrize("name", ["dcgan_digits", "vae_gan_digits", "wgan_gp_swiss_roll"])
def test_a_generator_that_draws_one_thing_only_shows_the_sign(name):
    method, batch = built(name)
    method.model.sampler.forward = lambda noise, labels=None: torch.full_like(batch.images, 0.25)
    method.model.sampler.decode = method.model.sampler.forward
    (symptom,) = [symptom for symptom in method.symptoms if symptom.value == "discriminator/diversity"]
    assert logged_by(method, batch)[symptom.value] == 0 < symptom.below


def spread(images):
    """The standard deviation at each place over the images, then the mean over places, a number at a time."""
    columns = list(zip(*images.flatten(1).tolist(), strict=True))
    total = 0.0
    for column in columns:
        mean = sum(column) / len(column)
        total += math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))
    return total / len(columns)


@pytest.mark.parametrize("shape", [(5, 2), (5, 3, 2, 2)])
def test_diversity_is_the_fakes_spread_over_the_reals(shape):
    torch.manual_seed(0)
    reals, fakes = torch.randn(shape), 0.3 * torch.randn(7, *shape[1:]) + 2
    assert_close(diversity(fakes, reals).item(), spread(fakes) / spread(reals), rtol=1e-5, atol=0)
    assert_close(diversity(3 * reals + 1, reals), torch.tensor(3.0))


def test_diversity_looks_at_sixty_four_images_and_keeps_no_gradient():
    torch.manual_seed(0)
    reals, fakes = torch.randn(100, 2), torch.randn(100, 2, requires_grad=True)
    found = diversity(fakes, reals)
    assert_close(found.item(), spread(fakes[:64]) / spread(reals[:64]), rtol=1e-5, atol=0)
    assert not found.requires_grad
    assert diversity(fakes.bfloat16(), reals).dtype == torch.float32


def test_largest_kl_is_that_of_the_dimension_which_carries_most_on_average():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(6, 4, requires_grad=True), torch.randn(6, 4)
    prior = Normal(0.0, 1.0)
    by_dimension = [
        sum(kl_divergence(Normal(m, (v / 2).exp()), prior) for m, v in zip(mean[:, i], log_variance[:, i], strict=True))
        / 6
        for i in range(4)
    ]
    found = largest_kl(kl_to_standard_normal_by_dimension(mean, log_variance))
    assert_close(found, max(by_dimension).detach())
    assert not found.requires_grad
    one_image_only = torch.zeros(6, 4)
    one_image_only[0, 2] = 2.0
    assert_close(
        largest_kl(kl_to_standard_normal_by_dimension(one_image_only, torch.zeros(6, 4))), torch.tensor(2.0 / 6)
    )
