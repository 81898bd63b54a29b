"""Likelihood metrics against models whose marginal is known, and against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from genlib.evaluation.estimates import Findings
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.statistics import likelihood as module
from genlib.evaluation.statistics.likelihood import bound, likelihood
from genlib.layers.base import DataSpec
from genlib.losses.gaussians import kl_to_standard_normal
from genlib.methods.hierarchical_vae.config import HierarchicalVAEConfig
from genlib.methods.vae.config import VAEConfig
from genlib.models.base import Batch, LatentVariableModel
from genlib.networks.mlp.config import MLPConfig
from genlib.pixels.scale import to_unit
from tests.evaluation.linear_gaussian import LinearGaussian, held_out

IMAGES = torch.randint(0, 256, (700, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
ALONE = Processes(torch.device("cpu"))


def found(model: LatentVariableModel, samples: int, count: int = 300, batch_size: int = 256, seed: int = 0) -> Findings:
    return likelihood(model, held_out(IMAGES, count), samples, seed, ALONE, batch_size)


def table(model: LatentVariableModel, count: int, index: int, samples: int) -> torch.Tensor:
    """Of a chunk that begins with the first images: reconstruction, KL, the bound, what is known of the latents."""
    return module.table_of_chunk(model, Batch(to_unit(IMAGES[:count]), None), index, [samples], 0, 256)


def exact(count: int) -> torch.Tensor:
    return LinearGaussian().marginal().log_prob(to_unit(IMAGES[:count]).flatten(1).double())


def test_with_the_true_posterior_every_number_of_samples_gives_the_exact_marginal() -> None:
    for samples in (1, 7, 100):
        log_likelihood = found(LinearGaussian(), samples).metrics["log_likelihood"]
        assert log_likelihood.value == pytest.approx(exact(300).mean().item(), rel=1e-5)
        assert log_likelihood.standard_error == pytest.approx(exact(300).std().item() / 300**0.5, rel=1e-4)
    elbo = found(LinearGaussian(), 2000, count=64).metrics["elbo"].value
    assert elbo == pytest.approx(exact(64).mean().item(), abs=0.02)  # the bound is tight, but for the draws


def test_with_another_posterior_the_estimate_rises_to_the_marginal_as_samples_are_added() -> None:
    result = found(LinearGaussian(widening=1.6), 1000, count=200)
    curve = [point["value"] for point in result.details["log_likelihood_curve"]]
    assert [point["k"] for point in result.details["log_likelihood_curve"]] == [1, 10, 100, 1000]
    assert curve == sorted(curve)
    truth = exact(200).mean().item()
    assert curve[0] < truth - 0.3
    assert curve[-1] == pytest.approx(truth, abs=0.02)
    assert result.metrics["log_likelihood"].value == curve[-1]


def test_the_draws_error_is_within_its_own_standard_error() -> None:
    """The same image again and again: the spread over images is that of the draws alone."""
    same = held_out(IMAGES[:1].expand(512, -1, -1, -1))
    estimate = likelihood(LinearGaussian(widening=1.3), same, 500, 0, ALONE).metrics["log_likelihood"]
    assert estimate.standard_error is not None
    assert abs(estimate.value - exact(1).item()) < 4 * estimate.standard_error + 1e-3  # 1e-3: the bias at 500
    assert estimate.standard_error < 0.01


def test_neither_chunking_nor_other_images_change_an_images_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearGaussian(widening=1.6)
    expected = found(model, 60)
    for batch_size in (1, 7, 300, 10_000):
        again = found(model, 60, batch_size=batch_size)
        for name, estimate in expected.metrics.items():
            assert again.metrics[name].value == pytest.approx(estimate.value, rel=1e-6), name
        assert again.details["kl_per_dimension"] == pytest.approx(expected.details["kl_per_dimension"], rel=1e-5)
    alone = found(model, 60, count=10).metrics["log_likelihood"].value
    ten = table(model, 256, 0, 60)[:10, 2].mean().item()
    assert alone == pytest.approx(ten, rel=1e-6)


def test_images_in_different_chunks_have_draws_of_their_own() -> None:
    model = LinearGaussian(widening=1.6)
    first, second = (table(model, 9, index, 1) for index in (0, 1))
    assert (first[:, 2] != second[:, 2]).all()  # the bound; what is not drawn is the same
    assert torch.equal(first[:, 3:], second[:, 3:])


def test_draws_are_the_seeds_alone_and_the_global_generator_is_left_alone() -> None:
    model = LinearGaussian(widening=1.6)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = found(model, 10)
    assert torch.equal(torch.get_rng_state(), before)
    assert found(model, 10).metrics == first.metrics
    assert found(model, 10, seed=1).metrics["elbo"] != first.metrics["elbo"]


def test_the_bound_at_k_averages_over_disjoint_groups_of_k_weights() -> None:
    weights = torch.tensor([[0.5], [1.0], [2.0], [4.0], [100.0]], dtype=torch.float64)
    expected = (math.log(0.75) + math.log(3.0)) / 2  # the fifth is left over
    assert bound(weights.log(), 2).item() == pytest.approx(expected)
    assert bound(weights.log(), 5).item() == pytest.approx(math.log(107.5 / 5))


def test_kl_and_active_units_tell_used_dimensions_from_idle_ones() -> None:
    model = LinearGaussian()
    with torch.no_grad():
        model.linear.weight[:, 2] = 0  # the decoder does not look at the last latent
    result = found(model, 1)
    assert result.metrics["active_units"].value == 2
    per_dimension = result.details["kl_per_dimension"]
    assert per_dimension[2] == pytest.approx(0, abs=1e-6) and min(per_dimension[:2]) > 0.1
    assert sum(per_dimension) == pytest.approx(result.metrics["kl"].value, rel=1e-6)
    posterior = model.posterior(Batch(to_unit(IMAGES[:300]), None))
    assert result.metrics["kl"].value == pytest.approx(kl_to_standard_normal(*posterior).mean().item(), rel=1e-5)
    assert result.details["posterior_mean_variance"] == pytest.approx(posterior.mean.var(0).tolist(), rel=1e-4)


def test_every_image_is_encoded_once_however_many_samples_it_gets() -> None:
    model = LinearGaussian()
    found(model, 200)
    assert model.encoded == 300


def test_without_a_prior_in_closed_form_the_kl_is_the_draws_mean_and_has_no_dimensions() -> None:
    closed = found(LinearGaussian(widening=1.3), 400)
    model = LinearGaussian(widening=1.3)
    model.has_standard_prior = False
    drawn = found(model, 400)
    assert "kl_per_dimension" not in drawn.details
    assert drawn.metrics["kl"].value == pytest.approx(closed.metrics["kl"].value, abs=0.02)
    assert drawn.metrics["kl"].value != closed.metrics["kl"].value
    assert drawn.metrics["log_likelihood"] == closed.metrics["log_likelihood"]
    assert drawn.metrics["active_units"] == closed.metrics["active_units"]


def test_the_kl_of_two_layers_is_that_between_their_joint_distributions() -> None:
    config = HierarchicalVAEConfig(network=MLPConfig(hidden_sizes=[4]), latent_size=1, upper_latent_size=1)
    model = config.build(DataSpec((1, 4, 4))).model.eval()
    slope, offset, std = 0.6, 0.3, 0.8
    model.upper_encoder = torch.nn.Linear(1, 2)  # q(upper | lower) = N(0.6 lower + 0.3, 0.8^2)
    with torch.no_grad():
        for parameter in [*model.encoder.parameters(), *model.top_down.upper_decoder.parameters()]:
            parameter.zero_()  # q(lower | x) = p(lower | upper) = N(0, 1)
        model.upper_encoder.weight.copy_(torch.tensor([[slope], [0.0]]))
        model.upper_encoder.bias.copy_(torch.tensor([offset, 2 * math.log(std)]))
    joint = MultivariateNormal(torch.tensor([0.0, offset]), torch.tensor([[1.0, slope], [slope, slope**2 + std**2]]))
    expected = kl_divergence(joint, MultivariateNormal(torch.zeros(2), torch.eye(2))).item()
    assert found(model, 400).metrics["kl"].value == pytest.approx(expected, abs=0.01)


def constant_vae(**settings: object) -> LatentVariableModel:
    """Every image is grey, and q(z | x) = N(0, I)."""
    config = VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=2, **settings)
    model = config.build(DataSpec((1, 4, 4))).model.eval()
    with torch.no_grad():
        for parameter in [*model.sampler.parameters(), *model.encoder.parameters()]:
            parameter.zero_()
    return model


def bits(probabilities: torch.Tensor, count: int = 700) -> float:
    """Of the pixels of the first images, from the probabilities of the 256 values."""
    return -probabilities.log2()[IMAGES[:count].long()].mean().item()


BORDERS = (torch.arange(257, dtype=torch.float64) - 0.5) / 127.5 - 1  # of the 256 values


def test_a_vaes_split_adds_up_and_its_bits_are_those_of_dequantized_pixels() -> None:
    metrics = found(constant_vae(sigma=0.3), 20, count=700).metrics
    assert metrics["elbo"].value == pytest.approx(-metrics["reconstruction"].value - metrics["kl"].value)
    assert metrics["elbo"].value == pytest.approx(metrics["log_likelihood"].value, rel=1e-5)
    # The mean density over the width of each of the 256 steps, in bits for a pixel.
    assert metrics["bits_per_dim"].value == pytest.approx(bits(Normal(0.0, 0.3).cdf(BORDERS).diff()), rel=1e-3)


def test_probabilities_of_pixels_are_taken_as_they_are_and_give_bits_at_once() -> None:
    model = constant_vae(likelihood="discretized_logistic")
    with torch.no_grad():
        model.likelihood.log_scale.fill_(-2.0)
    metrics = found(model, 3, count=10).metrics  # so few that the noise of dequantization would show
    inner = torch.sigmoid(BORDERS[1:-1] / math.exp(-2))
    probabilities = torch.cat([torch.zeros(1), inner, torch.ones(1)]).diff()  # the outermost values take the tails
    assert probabilities.sum() == pytest.approx(1)
    assert metrics["bits_per_dim"].value == pytest.approx(bits(probabilities, 10), rel=1e-5)


def test_a_bernoulli_decoder_is_no_density_and_has_no_bits_for_grey_pixels() -> None:
    metrics = found(constant_vae(likelihood="bernoulli"), 2).metrics
    assert "bits_per_dim" not in metrics
    assert metrics["log_likelihood"].value == pytest.approx(-16 * math.log(2), rel=1e-6)


def test_points_are_neither_dequantized_nor_measured_in_bits() -> None:
    config = VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=2, sigma=0.3)
    model = config.build(DataSpec((2,))).model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    metrics = likelihood(model, held_out(points), 5, 0, ALONE).metrics
    expected = Normal(0.0, 0.3).log_prob(points).sum(1).mean().item()
    assert metrics["log_likelihood"].value == pytest.approx(expected, rel=1e-5)
    assert "bits_per_dim" not in metrics


class LabelledBernoulli(LinearGaussian):
    """All pixels of label 0 are white with probability 0.25, of label 1 with 0.75; the latents do nothing."""

    def weigh(self, batch, posterior, noise):  # type: ignore[no-untyped-def]
        weights = super().weigh(batch, posterior, noise)
        white = (batch.images > 0).flatten(1).double().sum(1)
        assert set(batch.images.unique().tolist()) <= {-1, 1}
        odds = torch.tensor([1 / 3, 3.0], dtype=torch.float64)[batch.labels]
        log_likelihood = white * odds.log() - 16 * (1 + odds).log()
        return weights._replace(log_likelihood=log_likelihood, log_ratio=torch.zeros_like(log_likelihood))


def test_grey_test_images_are_drawn_black_or_white_and_scored_under_their_own_labels() -> None:
    labels = torch.arange(700) % 2
    model = LabelledBernoulli()
    values = {}
    for seed in (0, 1):
        drawn = held_out(IMAGES, 700, labels, binarize_seed=seed)
        values[seed] = likelihood(model, drawn, 3, 0, ALONE).metrics["log_likelihood"]
    grey = IMAGES.flatten(1).double().div(255).sum(1)  # white pixels expected
    odds = torch.tensor([1 / 3, 3.0], dtype=torch.float64)[labels]
    expected = (grey * odds.log() - 16 * (1 + odds).log()).mean().item()
    for estimate in values.values():
        assert estimate.value == pytest.approx(expected, abs=4 * 2 * math.log(3) / 700**0.5)
    assert values[0] != values[1]
    few = likelihood(model, held_out(IMAGES, 300, labels, binarize_seed=0), 3, 0, ALONE, batch_size=7)
    again = held_out(IMAGES, 700, labels, binarize_seed=0)
    ours = torch.cat([again.batch(index, torch.device("cpu")).images for index in range(2)])[:300]
    white = (ours > 0).flatten(1).double().sum(1)
    exact = (white * odds[:300].log() - 16 * (1 + odds[:300]).log()).mean().item()
    assert few.metrics["log_likelihood"].value == pytest.approx(exact)  # how many are judged changes none of them
