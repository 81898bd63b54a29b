"""Training on the importance-weighted bound (Burda et al. 2015), for any number of stochastic layers."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.losses.bounds import importance_weighted_bound
from genlib.losses.gaussians import kl_to_standard_normal_by_dimension, largest_kl, normal_log_density
from genlib.models.base import Batch, LatentVariableModel, Losses, Method, Phase, Weights
from genlib.models.collapse import symptom_of_posterior
from genlib.models.optimizer import OptimizerConfig
from genlib.models.posterior import Posterior


class ImportanceWeighted(Method):
    """Maximizes the bound on log p(x) of k importance samples: the evidence lower bound for k = 1.

    With `doubly_reparameterized` the encoder's gradient is that of Tucker et al. (2019), whose signal does not fade as
    k grows; the decoder's is the same. It is for models with one layer of latents.
    """

    model: LatentVariableModel

    def __init__(
        self,
        model: LatentVariableModel,
        importance_samples: int,
        optimizer: OptimizerConfig,
        doubly_reparameterized: bool = False,
        phase: str = "bound",
    ) -> None:
        super().__init__()
        if doubly_reparameterized and not model.has_standard_prior:
            raise ValueError("doubly reparameterized gradients need a prior N(0, I); use the reparameterized ones.")
        self.model = model
        self.importance_samples = importance_samples
        self.doubly_reparameterized = doubly_reparameterized
        self.phases = (Phase(phase, self.model, optimizer),)
        self.symptoms = (symptom_of_posterior(phase),) if model.has_standard_prior else ()

    def loss(self, phase: str, batch: Batch) -> Losses:
        posterior = self.model.posterior(batch)
        drawn = self.draw(batch, posterior)
        bound = importance_weighted_bound(self.by_draw(drawn.log_likelihood + drawn.log_ratio)).mean()
        objective = self.surrogate(posterior, drawn) if self.doubly_reparameterized else bound
        losses = {
            "total": -objective,
            "bound": bound.detach(),
            "reconstruction": -drawn.log_likelihood.mean(),
            "kl": -drawn.log_ratio.mean(),
        }
        if self.model.has_standard_prior:
            with torch.no_grad():
                by_dimension = kl_to_standard_normal_by_dimension(posterior.mean, posterior.log_variance)
            losses["largest_kl"] = largest_kl(by_dimension)
        return losses

    def surrogate(self, posterior: Posterior, drawn: Weights) -> Tensor:
        """Something whose gradient is the doubly reparameterized one (Tucker et al. 2019, eqs. 6 and 8), ().

        With normalized weights w the decoder's is sum_k w_k d log weight_k, as without; the encoder's, by way of the
        latents alone, sum_k w_k^2 d log weight_k.
        """
        latents = drawn.latents
        mean, log_variance = (of.detach().repeat(self.importance_samples, 1) for of in posterior)
        zero = torch.zeros_like(latents)
        log_ratio = normal_log_density(latents, zero, zero) - normal_log_density(latents, mean, log_variance)
        log_weights = self.by_draw(drawn.log_likelihood + log_ratio)
        weights = log_weights.detach().softmax(0)
        latents.register_hook(lambda gradient: gradient * weights.flatten()[:, None])
        return (weights * log_weights).sum(0).mean()

    def by_draw(self, values: Tensor) -> Tensor:
        """(k * B,) => (k, B)."""
        return values.unflatten(0, (self.importance_samples, -1))

    def draw(self, batch: Batch, posterior: Posterior) -> Weights:
        """k draws for each image, one set after the other, (k * B,)."""
        k = self.importance_samples
        drawn = batch.map(lambda part: part.repeat(k, *[1] * (part.dim() - 1)))
        repeated = Posterior(posterior.mean.repeat(k, 1), posterior.log_variance.repeat(k, 1))
        noise = torch.randn(len(drawn.images), self.model.noise_size, device=drawn.images.device)
        return self.model.weigh(drawn, repeated, noise)
