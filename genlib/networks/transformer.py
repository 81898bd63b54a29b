"""A small causal transformer over codes (Vaswani et al. 2017, section 3.1; normalization first: Xiong et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.networks.base import known

Cache = tuple[Tensor, Tensor]  # keys and values so far, (B, heads, T, width / heads) each


class Block(nn.Module):
    """Attention to what came before, then a fully connected part, each added to its input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.expand, self.reduce = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, inputs: Tensor, before: Cache | None = None) -> tuple[Tensor, Cache]:
        """(B, T, width) => the same, and the keys and values of all positions; those `before` are attended to."""
        split = self.queries_keys_values(self.attention_norm(inputs)).unflatten(2, (3 * self.heads, -1))
        queries, keys, values = split.transpose(1, 2).chunk(3, dim=1)  # (B, heads, T, width / heads)
        if before is not None:
            keys, values = torch.cat([before[0], keys], dim=2), torch.cat([before[1], values], dim=2)
        dropout = self.dropout if self.training else 0.0
        # One position at a time sees all that are there; all at once see none that come later.
        found = F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, is_causal=before is None)
        hidden = inputs + F.dropout(self.projection(found.transpose(1, 2).flatten(2)), self.dropout, self.training)
        inner = self.reduce(F.gelu(self.expand(self.norm(hidden))))
        return hidden + F.dropout(inner, self.dropout, self.training), (keys, values)


class CodeTransformer(nn.Module):
    """p(code | codes before it), of `positions` codes out of `codes`; with `classes` given the label too."""

    def __init__(
        self,
        codes: int,
        positions: int,
        width: int,
        layers: int,
        heads: int,
        classes: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            least = -(-width // heads) * heads
            raise ValueError(f"the width ({width}) must be divisible by the heads ({heads}); use {least}.")
        self.positions, self.classes = positions, classes
        self.embedding = nn.Embedding(codes, width)
        self.start = nn.Embedding(max(1, classes), width)  # before the first code: the label, if any
        self.position = nn.Parameter(torch.zeros(positions, width))
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codes)
        for weight in (self.embedding.weight, self.start.weight, self.position, self.head.weight):
            nn.init.normal_(weight, 0.0, 0.02)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """int64 (B, T) => logits (B, T, codes); those of position t depend on the codes before t alone."""
        before = self.embedding(codes[:, :-1])
        hidden = torch.cat([self.beginning(len(codes), labels), before], dim=1) + self.position[: codes.shape[1]]
        for block in self.blocks:
            hidden, _ = block(hidden)
        return self.head(self.norm(hidden))

    @torch.no_grad()
    def sample(self, uniforms: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes by the inverse of the cumulative distribution, one after another; (B, T) in (0, 1) => int64 (B, T)."""
        hidden = self.beginning(len(uniforms), labels)
        caches: list[Cache | None] = [None] * len(self.blocks)
        codes: list[Tensor] = []
        for position in range(uniforms.shape[1]):
            hidden = hidden + self.position[position]
            for number, block in enumerate(self.blocks):
                hidden, caches[number] = block(hidden, caches[number])
            cumulative = self.head(self.norm(hidden[:, 0])).float().softmax(-1).cumsum(-1)
            # Rounding may leave the last sum below a number close to 1.
            code = (cumulative < uniforms[:, position, None]).sum(-1).clamp_max(cumulative.shape[1] - 1)
            codes.append(code)
            hidden = self.embedding(code)[:, None]
        return torch.stack(codes, dim=1)

    def beginning(self, count: int, labels: Tensor | None) -> Tensor:
        """(B, 1, width)."""
        if self.classes:
            return self.start(known(labels))[:, None]
        return self.start.weight[:1].expand(count, 1, -1)
