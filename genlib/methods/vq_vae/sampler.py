"""Drawing and decoding of codes: all that the exported sampler needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.methods.vq_vae.quantizer import VectorQuantizer
from genlib.methods.vq_vae.transformer import CodeTransformer
from genlib.models.codes import AS_LEARNED, CodeNetwork, Drawing


class CodeDecoder(CodeNetwork):
    """Noise ~ N(0, I), a number for each code => codes drawn from the prior => raw pixels (B, C, H, W)."""

    def __init__(
        self,
        prior: CodeTransformer,
        quantizer: VectorQuantizer,
        decoder: nn.Module,
        side: int,
        drawing: Drawing = AS_LEARNED,
    ) -> None:
        super().__init__()
        self.prior, self.quantizer, self.decoder, self.side, self.drawing = prior, quantizer, decoder, side, drawing

    def forward(self, noise: Tensor, given: Tensor | None = None) -> Tensor:
        codes = self.prior.sample(torch.special.ndtr(noise), given, self.drawing)
        return self.decoder(self.quantizer.embed(codes.unflatten(1, (self.side, self.side))))

    def complete(self, words: Tensor, uniforms: Tensor) -> Tensor:
        # The likeliest k are of codes, of which there are more.
        return self.prior.complete(words, uniforms, self.drawing._replace(top_k=None))

    def nats_of_texts(self, texts: Tensor) -> Tensor:
        return self.prior.word_nats(texts)
