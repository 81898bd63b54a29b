"""Discriminators: a backbone, the condition, packs and scores."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from genlib.layers.base import Backbone, required, with_condition
from genlib.layers.shapes import UNCONDITIONAL, ConditionSpec

DiscriminatorConditioning = Literal["none", "concat", "projection"]


class Discriminator(nn.Module):
    """Images (B, *shape) and their condition => scores (B / pack,).

    `concat`: the condition enters beside the images' channels (Mirza & Osindero 2014); `projection`: the label's
    embedding times the features is added to the score (Miyato & Koyama 2018, eq. 5). `pack` images in a row get one
    score, stacked along their channels (Lin et al. 2018, section 2).
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Linear,
        condition: ConditionSpec = UNCONDITIONAL,
        conditioning: DiscriminatorConditioning = "none",
        pack: int = 1,
    ) -> None:
        super().__init__()
        if pack > 1 and conditioning == "projection":
            raise ValueError("a projection takes one label, and a pack has several; use concat, or a pack of 1.")
        self.backbone, self.head = backbone, head
        self.condition, self.conditioning, self.pack = condition, conditioning, pack
        self.embedding = (
            nn.Embedding(condition.classes, backbone.num_features) if conditioning == "projection" else None
        )
        if self.embedding is not None:
            nn.init.xavier_uniform_(self.embedding.weight)

    def features(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """The backbone's features, which the scores are linear in, (B / pack, F)."""
        inputs = images.flatten(1) if self.backbone.takes_vectors else images
        if self.conditioning == "concat":
            inputs = with_condition(inputs, condition, self.condition)
        return self.backbone(self.packed(inputs))

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(images, condition)
        scores = self.head(features)[:, 0]
        if self.embedding is not None:
            scores = scores + (self.embedding(required(condition)) * features).sum(1)
        return scores

    def packed(self, inputs: Tensor) -> Tensor:
        """(B, C, ...) => (B / pack, pack * C, ...); ValueError unless the pack divides B."""
        if self.pack == 1:
            return inputs
        if len(inputs) % self.pack:
            raise ValueError(f"{len(inputs)} images are no whole packs of {self.pack}; use a multiple.")
        return inputs.reshape(len(inputs) // self.pack, self.pack * inputs.shape[1], *inputs.shape[2:])
