"""Vector-quantized autoencoder (van den Oord et al. 2017) with an autoregressive prior over its codes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.config import OptimizerConfig
from genlib.methods.base import Batch, EncoderModel, Losses, Method, Phase, Sampler
from genlib.networks.transformer import CodeTransformer
from genlib.networks.vector_quantizer import VectorQuantizer


class CodeDecoder(nn.Module):
    """Noise ~ N(0, I), a number for each code => codes drawn from the prior => raw pixels (B, C, H, W)."""

    def __init__(self, prior: CodeTransformer, quantizer: VectorQuantizer, decoder: nn.Module, side: int) -> None:
        super().__init__()
        self.prior, self.quantizer, self.decoder, self.side = prior, quantizer, decoder, side

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        codes = self.prior.sample(torch.special.ndtr(noise), labels)
        return self.decoder(self.quantizer.embed(codes.unflatten(1, (self.side, self.side))))


class VQModel(EncoderModel):
    """An encoder to a map of codes; codebook, prior and decoder are the sampler's."""

    def __init__(self, encoder: nn.Module, network: CodeDecoder, classes: int = 0) -> None:
        super().__init__(Sampler(network, network.side**2, "tanh", classes))
        self.encoder = encoder

    @property
    def code_decoder(self) -> CodeDecoder:
        network = self.sampler.network
        assert isinstance(network, CodeDecoder)
        return network

    def encode(self, batch: Batch) -> Tensor:
        return self.quantized(batch).flatten(1)

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.sampler.to_images(self.code_decoder.decoder(self.quantized(batch)))

    def quantized(self, batch: Batch) -> Tensor:
        return self.code_decoder.quantizer(self.encoder(batch.images).float()).quantized


class VQVAE(Method):
    """Two phases: the autoencoder, whose codebook follows the encoder by moving averages (van den Oord et al. 2017,
    appendix A.1), and the prior over the codes that it gives.
    """

    model: VQModel

    def __init__(
        self, model: VQModel, commitment: float, optimizer: OptimizerConfig, prior_optimizer: OptimizerConfig
    ) -> None:
        super().__init__()
        self.model = model
        self.commitment = commitment
        network = model.code_decoder
        self.phases = (
            Phase("autoencoder", nn.ModuleList([model.encoder, network.decoder]), optimizer),
            Phase("prior", network.prior, prior_optimizer),
        )

    @property
    def quantizer(self) -> VectorQuantizer:
        return self.model.code_decoder.quantizer

    def loss(self, phase: str, batch: Batch) -> Losses:
        return self.prior_loss(batch) if phase == "prior" else self.autoencoder_loss(batch)

    def autoencoder_loss(self, batch: Batch) -> Losses:
        """Squared error of a pixel + commitment |z - sg[e]|^2 (van den Oord et al. 2017, eq. 3)."""
        encoded = self.model.encoder(batch.images).float()
        quantized = self.quantizer(encoded)
        images = self.model.sampler.to_images(self.model.code_decoder.decoder(quantized.quantized)).float()
        reconstruction = (batch.images - images).square().mean()
        commitment = quantized.commitment.mean()
        statistics = self.quantizer.statistics(encoded, quantized.codes)
        return {
            "total": reconstruction + self.commitment * commitment,
            "reconstruction": reconstruction,
            "commitment": commitment,
            "perplexity": self.quantizer.perplexity(statistics["counts"]),
            **statistics,
        }

    def prior_loss(self, batch: Batch) -> Losses:
        """Cross-entropy of the codes, in nats each."""
        with torch.no_grad():  # The codes must not move to please the prior.
            codes = self.quantizer(self.model.encoder(batch.images).float()).codes.flatten(1)  # (B, h * w)
        logits = self.model.code_decoder.prior(codes, batch.labels)
        return {"total": F.cross_entropy(logits.float().flatten(0, 1), codes.flatten())}

    def after_update(self, phase: str, statistics: Losses) -> None:
        if phase == "autoencoder":
            self.quantizer.update(**statistics)
