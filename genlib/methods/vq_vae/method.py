"""Vector-quantized autoencoder (van den Oord et al. 2017) with an autoregressive prior over its codes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.base import required
from genlib.methods.vq_vae.quantizer import VectorQuantizer
from genlib.methods.vq_vae.sampler import CodeDecoder
from genlib.methods.vq_vae.transformer import nats_of_words
from genlib.models.base import Batch, EncoderModel, Losses, Method, Phase
from genlib.models.codes import NOTHING_SAID, real_words
from genlib.models.optimizer import OptimizerConfig
from genlib.models.sampler import Sampler


class VQModel(EncoderModel):
    """An encoder to a map of codes; codebook, prior and decoder are the sampler's."""

    def __init__(self, encoder: nn.Module, sampler: Sampler) -> None:
        super().__init__(sampler)
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
    appendix A.1), and the prior over the codes that it gives; over texts and codes, where contexts are texts (Ramesh
    et al. 2021, section 2), of which a share is left out for guidance (Ho & Salimans 2021, algorithm 1). The first may
    rest when a share of the steps is done, and the second begin there, as in both papers, where the prior is of an
    autoencoder that is trained.
    """

    model: VQModel

    def __init__(
        self,
        model: VQModel,
        commitment: float,
        optimizer: OptimizerConfig,
        prior_optimizer: OptimizerConfig,
        autoencoder_share: float = 1.0,
        prior_start_share: float = 0.0,
        caption_weight: float = 0.0,
        caption_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.commitment = commitment
        self.caption_weight, self.caption_dropout = caption_weight, caption_dropout
        network = model.code_decoder
        self.phases = (
            Phase("autoencoder", nn.ModuleList([model.encoder, network.decoder]), optimizer, until=autoencoder_share),
            Phase("prior", network.prior, prior_optimizer, since=prior_start_share),
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
        images = self.model.sampler.to_images(self.model.code_decoder.decoder(quantized.quantized))
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
        """Cross-entropy of the codes, in nats each; with that of the words, weighted as in Ramesh et al. 2021, section
        2.2, where contexts are texts.
        """
        with torch.no_grad():  # The codes must not move to please the prior.
            codes = self.quantizer(self.model.encoder(batch.images).float()).codes.flatten(1)  # (B, h * w)
        prior, given = self.model.code_decoder.prior, batch.given
        if not prior.words:
            return {"total": F.cross_entropy(prior(codes, given).flatten(0, 1), codes.flatten())}
        texts = required(given)
        left_out = torch.rand(len(texts), device=texts.device) < self.caption_dropout
        texts = texts.masked_fill(left_out[:, None], NOTHING_SAID)
        of_words, of_codes = prior.joint(codes, texts)
        said = ~left_out[:, None]
        words = (nats_of_words(of_words, texts) * said).sum() / (real_words(texts) & said).sum().clamp_min(1)
        pixels = F.cross_entropy(of_codes.flatten(0, 1), codes.flatten())
        weight = self.caption_weight
        return {"total": weight * words + (1 - weight) * pixels, "words": words, "codes": pixels}

    def after_update(self, phase: str, statistics: Losses) -> None:
        if phase == "autoencoder":
            self.quantizer.update(**statistics)
