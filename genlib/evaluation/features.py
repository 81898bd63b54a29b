"""Feature extractors: images in, features out, frozen for good, with a name and a content hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genlib.errors import UserError
from genlib.sampling.draw import CHUNK

# i => images CHUNK * i and on, uint8 (at most CHUNK, C, H, W), or points, float32 (at most CHUNK, 2)
Chunk = Callable[[int], Tensor]
Labels = Callable[[int], Tensor | None]  # i => the labels of these, int64 (at most CHUNK,), if there are any


class Extractor(nn.Module):
    """uint8 (N, C, H, W), or points of `dtype` (N, 2), => float32 (N, num_features).

    `hash` is the SHA-256 of the weights: the same hash means the same features. `facts` go to the provenance. With
    `classify` the features (N, num_features) lead to classes, int64 (N,).
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        num_features: int,
        hash: str,
        facts: dict[str, Any],
        dtype: torch.dtype = torch.uint8,
        classify: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.classify = classify and classify.requires_grad_(False)
        self.register_buffer("place", torch.empty(0), persistent=False)  # a network may have no weights
        self.place: Tensor
        self.name, self.num_features, self.hash, self.facts = name, num_features, hash, facts
        self.network = network.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Extractor:
        """Stays in eval mode, whoever asks."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        if images.dtype != self.dtype:
            raise TypeError(f"features are taken from {str(self.dtype)[6:]} images, not from {images.dtype}.")
        return self.network(images).float()


def chunk_features(extractor: Extractor, chunk: Chunk, index: int, rows: int, batch_size: int) -> Tensor:
    """Features of one of the chunks of `rows` images, on the extractor's device; UserError if one is not finite."""
    return features_of(extractor, chunk(index)[: rows - index * CHUNK], index * CHUNK, batch_size)


def features_of(extractor: Extractor, images: Tensor, first: int, batch_size: int) -> Tensor:
    """Features of images that begin with number `first`, on the extractor's device; UserError if one of finite images
    is not finite.
    """
    features = torch.cat([extractor(batch.to(extractor.place.device)) for batch in images.split(batch_size)])
    if not torch.isfinite(features).all() and torch.isfinite(images).all():
        raise UserError(
            f"the {extractor.name} features of images {first} to {first + len(features) - 1} are not "
            f"finite; its weights (SHA-256 {extractor.hash[:12]}) must be finite, check or delete them."
        )
    return features
