"""Discriminators: a backbone, labels, packs and scores."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from genlib.layers.base import NOTHING, Backbone, Given, beside, known

DiscriminatorConditioning = Literal["none", "concat", "projection"]


class Discriminator(nn.Module):
    """Images (B, ...) and what is given => scores (B / pack,).

    `concat`: labels, or an image, beside the images' channels (Mirza & Osindero 2014); `projection`: the label's
    embedding times the features is added to the score (Miyato & Koyama 2018, eq. 5). `pack` images one after another
    are judged as one of so many times the channels (Lin et al. 2018, section 2).
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Linear,
        given: Given = NOTHING,
        conditioning: DiscriminatorConditioning = "none",
        pack: int = 1,
    ) -> None:
        super().__init__()
        if pack > 1 and conditioning == "projection":
            raise ValueError("a projection is onto one label, a pack has several; use concat, or a pack of 1.")
        self.backbone, self.head = backbone, head
        self.given, self.conditioning, self.pack = given, conditioning, pack
        self.embedding = nn.Embedding(given.classes, backbone.num_features) if conditioning == "projection" else None
        if self.embedding is not None:
            nn.init.xavier_uniform_(self.embedding.weight)

    def features(self, images: Tensor, given: Tensor | None = None) -> Tensor:
        """What the scores are linear in, (B / pack, F)."""
        inputs = images.flatten(1) if self.backbone.takes_vectors else images
        if self.conditioning == "concat":
            inputs = beside(inputs, given, self.given)
        return self.backbone(self.packed(inputs))

    def forward(self, images: Tensor, given: Tensor | None = None) -> Tensor:
        features = self.features(images, given)
        scores = self.head(features)[:, 0]
        if self.embedding is not None:
            scores = scores + (self.embedding(known(given)) * features).sum(1)
        return scores

    def packed(self, inputs: Tensor) -> Tensor:
        """(B, C, ...) => (B / pack, pack * C, ...); ValueError where packs are not whole."""
        if self.pack == 1:
            return inputs
        if len(inputs) % self.pack:
            raise ValueError(f"{len(inputs)} images are no whole packs of {self.pack}; use a multiple.")
        return inputs.reshape(len(inputs) // self.pack, self.pack * inputs.shape[1], *inputs.shape[2:])
