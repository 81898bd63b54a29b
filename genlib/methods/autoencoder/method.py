"""Deterministic autoencoder; with penalties on latents and decoder the RAE-L2 (Ghosh et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.models.base import Batch, EncoderModel, Losses, Method, Phase
from genlib.models.optimizer import OptimizerConfig
from genlib.models.sampler import Sampler


class AutoencoderModel(EncoderModel):
    """An encoder to one point of the latent space, and a decoder."""

    def __init__(self, encoder: nn.Module, sampler: Sampler) -> None:
        super().__init__(sampler)
        self.encoder = encoder

    def encode(self, batch: Batch) -> Tensor:
        return self.encoder(batch.images, batch.given).float()

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.sampler.decode(self.encode(batch), batch.given)


class Autoencoder(Method):
    """Minimizes |x - x'|^2 + latent_penalty |z|^2 / 2 + decoder_penalty |decoder's weights|^2 (Ghosh et al. 2020,
    eqs. 8 to 10).

    Nothing ties the latents to N(0, I): only latents that are fitted after training make it generative.
    """

    model: AutoencoderModel

    def __init__(
        self,
        model: AutoencoderModel,
        optimizer: OptimizerConfig,
        latent_penalty: float = 0.0,
        decoder_penalty: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.latent_penalty, self.decoder_penalty = latent_penalty, decoder_penalty
        self.phases = (Phase("autoencoder", self.model, optimizer),)

    def loss(self, phase: str, batch: Batch) -> Losses:
        latents = self.model.encode(batch)
        images = self.model.sampler.decode(latents, batch.given)
        reconstruction = (batch.images - images).flatten(1).square().sum(1).mean()
        length = 0.5 * latents.square().sum(1).mean()
        losses = {"reconstruction": reconstruction, "latent_length": length}
        total = reconstruction + self.latent_penalty * length
        if self.decoder_penalty:
            weights = torch.stack([weight.square().sum() for weight in self.model.sampler.network.parameters()]).sum()
            total, losses["decoder_weights"] = total + self.decoder_penalty * weights, weights
        return {"total": total, **losses}
