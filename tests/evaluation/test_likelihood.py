"""Likelihood metrics against a model whose marginal is known, and against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from genlib.config import GANConfig, MLPConfig, VAEConfig
from genlib.evaluation import likelihood as module
from genlib.evaluation.likelihood import Likelihood, bound, has_likelihood, likelihood
from genlib.evaluation.processes import Processes
from genlib.losses.divergences import kl_to_standard_normal
from genlib.methods import build_method
from genlib.pixels import to_unit
from tests.evaluation.linear_gaussian import LinearGaussian

IMAGES = torch.randint(0, 256, (700, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
ALONE = Processes(torch.device("cpu"))


def chunk(index: int) -> torch.Tensor:
    return IMAGES[256 * index : 256 * (index + 1)]


def found(method: LinearGaussian, samples: int, count: int = 300, batch_size: int = 256, seed: int = 0) -> Likelihood:
    return likelihood(method, method.model, chunk, count, samples, seed, ALONE, batch_size)


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
    method = LinearGaussian(widening=1.3)
    same = IMAGES[:1].expand(256, -1, -1, -1)
    estimate = likelihood(method, method.model, lambda index: same, 512, 500, 0, ALONE).metrics["log_likelihood"]
    assert estimate.standard_error is not None
    assert abs(estimate.value - exact(1).item()) < 4 * estimate.standard_error + 1e-3  # 1e-3: the bias at 500
    assert estimate.standard_error < 0.01


def test_neither_chunking_nor_other_images_change_an_images_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    method = LinearGaussian(widening=1.6)
    expected = found(method, 60)
    for batch_size in (1, 7, 300, 10_000):
        again = found(method, 60, batch_size=batch_size)
        for name, estimate in expected.metrics.items():
            assert again.metrics[name].value == pytest.approx(estimate.value, rel=1e-6), name
        assert again.details["kl_per_dimension"] == pytest.approx(expected.details["kl_per_dimension"], rel=1e-5)
    alone = found(method, 60, count=10).metrics["log_likelihood"].value
    ten = module.table_of_chunk(method, method.model, IMAGES[:256], 0, [60], 0, 256)[:10, 4].mean().item()
    assert alone == pytest.approx(ten, rel=1e-6)


def test_images_in_different_chunks_have_draws_of_their_own() -> None:
    method = LinearGaussian(widening=1.6)
    first, second = (module.table_of_chunk(method, method.model, IMAGES[:9], index, [1], 0, 256) for index in (0, 1))
    assert (first[:, 4] != second[:, 4]).all()  # the bound; what is not drawn is the same
    assert torch.equal(first[:, 5:], second[:, 5:])


def test_draws_are_the_seeds_alone_and_the_global_generator_is_left_alone() -> None:
    method = LinearGaussian(widening=1.6)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = found(method, 10)
    assert torch.equal(torch.get_rng_state(), before)
    assert found(method, 10).metrics == first.metrics
    assert found(method, 10, seed=1).metrics["elbo"] != first.metrics["elbo"]


def test_the_bound_at_k_averages_over_disjoint_groups_of_k_weights() -> None:
    weights = torch.tensor([[0.5], [1.0], [2.0], [4.0], [100.0]], dtype=torch.float64)
    expected = (math.log(0.75) + math.log(3.0)) / 2  # the fifth is left over
    assert bound(weights.log(), 2).item() == pytest.approx(expected)
    assert bound(weights.log(), 5).item() == pytest.approx(math.log(107.5 / 5))


def test_kl_and_active_units_tell_used_dimensions_from_idle_ones() -> None:
    method = LinearGaussian()
    with torch.no_grad():
        method.linear.weight[:, 2] = 0  # the decoder does not look at the last latent
    result = found(method, 1)
    assert result.metrics["active_units"].value == 2
    per_dimension = result.details["kl_per_dimension"]
    assert per_dimension[2] == pytest.approx(0, abs=1e-6) and min(per_dimension[:2]) > 0.1
    assert sum(per_dimension) == pytest.approx(result.metrics["kl"].value, rel=1e-6)
    posterior = method.posterior(method.model, to_unit(IMAGES[:300]))
    assert result.metrics["kl"].value == pytest.approx(kl_to_standard_normal(*posterior).mean().item(), rel=1e-5)
    assert result.details["posterior_mean_variance"] == pytest.approx(posterior.mean.var(0).tolist(), rel=1e-4)


def test_a_vaes_split_adds_up_and_its_bits_are_those_of_dequantized_pixels() -> None:
    vae = build_method(VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=2, sigma=0.3), (1, 4, 4)).eval()
    with torch.no_grad():
        for parameter in vae.model.decoder.parameters():
            parameter.zero_()  # every image is grey: p(x) = N(0, 0.3^2 I)
        for parameter in vae.model.encoder.parameters():
            parameter.zero_()  # q(z | x) = N(0, I)
    metrics = likelihood(vae, vae.model, chunk, 700, 20, 0, ALONE).metrics
    assert metrics["elbo"].value == pytest.approx(-metrics["reconstruction"].value - metrics["kl"].value)
    assert metrics["elbo"].value == pytest.approx(metrics["log_likelihood"].value, rel=1e-5)
    # The mean density over the width of each of the 256 steps, in bits for a pixel.
    borders = (torch.arange(257, dtype=torch.float64) - 0.5) / 127.5 - 1
    probabilities = Normal(0.0, 0.3).cdf(borders).diff()
    expected = -probabilities.log2()[IMAGES.long()].mean().item()
    assert metrics["bits_per_dim"].value == pytest.approx(expected, rel=1e-3)


def test_a_bernoulli_decoder_is_no_density_and_has_no_bits_for_grey_pixels() -> None:
    network = MLPConfig(hidden_sizes=[8])
    vae = build_method(VAEConfig(network=network, latent_size=2, likelihood="bernoulli"), (1, 4, 4)).eval()
    metrics = likelihood(vae, vae.model, chunk, 300, 2, 0, ALONE).metrics
    assert "bits_per_dim" not in metrics and math.isfinite(metrics["log_likelihood"].value)


def test_a_method_says_whether_it_has_a_likelihood_without_being_loaded() -> None:
    before = torch.get_rng_state()
    assert has_likelihood(VAEConfig(), (1, 8, 8))
    assert not has_likelihood(GANConfig(), (1, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)
