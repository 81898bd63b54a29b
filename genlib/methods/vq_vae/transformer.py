"""A small causal transformer over codes (Vaswani et al. 2017, section 3.1; normalization first: Xiong et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.base import required
from genlib.models.codes import AS_LEARNED, NOTHING_SAID, Drawing, real_words

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


LEAST_UNIFORM = 2.0**-25


def drawn(logits: Tensor, uniforms: Tensor, drawing: Drawing) -> Tensor:
    """By the inverse of the cumulative distribution, (B, n) and (B,) in (0, 1) => int64 (B,)."""
    scaled = logits.float() / drawing.temperature
    if drawing.top_k is not None and drawing.top_k < scaled.shape[1]:
        values, places = scaled.topk(drawing.top_k, dim=1)
        scaled = torch.full_like(scaled, -torch.inf).scatter(1, places, values)
    cumulative = scaled.softmax(-1).cumsum(-1)
    # A uniform that was rounded to 0 must not draw what is as good as impossible.
    reached = cumulative[:, -1:] * uniforms.clamp_min(LEAST_UNIFORM)[:, None]
    return (cumulative < reached).sum(-1)


class CodeTransformer(nn.Module):
    """p(code | codes before it), of `positions` codes out of `codes`.

    With `classes` given the label too; with `words` and a `length` p(word | words before it) of texts, and the codes
    given these (Ramesh et al. 2021, section 2).
    """

    def __init__(
        self,
        codes: int,
        positions: int,
        width: int,
        layers: int,
        heads: int,
        classes: int = 0,
        dropout: float = 0.0,
        words: int = 0,
        length: int = 0,
    ) -> None:
        super().__init__()
        if width % heads:
            least = -(-width // heads) * heads
            raise ValueError(f"the width ({width}) must be divisible by the heads ({heads}); use {least}.")
        self.positions, self.classes, self.words = positions, classes, words
        self.length = length  # of a text
        self.embedding = nn.Embedding(codes, width)
        self.start = nn.Embedding(max(1, classes), width)  # before the first word or code: the label, if any
        self.position = nn.Parameter(torch.zeros(self.length + positions, width))
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codes)
        drawn_weights = [self.embedding.weight, self.start.weight, self.position, self.head.weight]
        if words:
            self.word, self.word_head = nn.Embedding(words, width), nn.Linear(width, words)
            drawn_weights += [self.word.weight, self.word_head.weight]
        for weight in drawn_weights:
            nn.init.normal_(weight, 0.0, 0.02)

    def forward(self, codes: Tensor, given: Tensor | None = None) -> Tensor:
        """int64 (B, T) => logits (B, T, codes); those of position t depend on the codes before t alone, and on what is
        given: labels (B,), or texts (B, LENGTH).
        """
        return self.head(self.hidden(codes, given)[:, self.length :]).float()

    def joint(self, codes: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the words (B, LENGTH, words), each given those before it, and of the codes (B, T, codes)."""
        hidden = self.hidden(codes, texts)
        return self.word_head(hidden[:, : self.length]).float(), self.head(hidden[:, self.length :]).float()

    def hidden(self, codes: Tensor, given: Tensor | None) -> Tensor:
        """Features that each position after the start is predicted from, (B, length + T, width)."""
        before = self.embedding(codes[:, :-1])
        inputs = torch.cat([self.beginning(len(codes), given), before], dim=1)
        hidden = inputs + self.position[: inputs.shape[1]]
        for block in self.blocks:
            hidden, _ = block(hidden)
        return self.norm(hidden)

    def word_nats(self, texts: Tensor) -> Tensor:
        """-log p of each word given those before it, of the first end too and 0 after it, int64 (B, LENGTH) => the same
        shape.
        """
        logits, _ = self.joint(texts.new_zeros(len(texts), 1), texts)
        return nats_of_words(logits, texts)

    @torch.no_grad()
    def sample(self, uniforms: Tensor, given: Tensor | None = None, drawing: Drawing = AS_LEARNED) -> Tensor:
        """Codes one after another, (B, T) in (0, 1) => int64 (B, T).

        With texts and a guidance g of other than 1 the logits are u + g (c - u), c with the text and u without
        (Ho & Salimans 2021, eq. 6, where g is 1 + w).
        """
        guided = bool(self.words) and drawing.guidance != 1
        if guided:
            given = torch.cat([required(given), torch.full_like(required(given), NOTHING_SAID)])
        start = self.beginning((1 + guided) * len(uniforms), given)

        def logits(hidden: Tensor) -> Tensor:
            found = self.head(hidden).float()
            if not guided:
                return found
            with_text, without = found.chunk(2)
            return without + drawing.guidance * (with_text - without)

        def embedded(codes: Tensor) -> Tensor:
            return self.embedding(codes.repeat(1 + guided))

        return self.continued(start, uniforms, logits, embedded, drawing)

    @torch.no_grad()
    def complete(self, words: Tensor, uniforms: Tensor, drawing: Drawing = AS_LEARNED) -> Tensor:
        """Texts that begin with these words, int64 (B, n) and (B, LENGTH - n) in (0, 1) => int64 (B, LENGTH)."""
        found = torch.cat(
            [words, self.continued(self.beginning(len(words), words), uniforms, self.word_head, self.word, drawing)],
            dim=1,
        )
        return found * real_words(found)

    def continued(
        self,
        inputs: Tensor,
        uniforms: Tensor,
        head: Callable[[Tensor], Tensor],
        embedded: Callable[[Tensor], Tensor],
        drawing: Drawing,
    ) -> Tensor:
        """The continuation of (b, P, width), one code after another: every position is computed once, its keys and
        values kept.
        """
        length = inputs.shape[1]
        hidden = inputs + self.position[:length]
        caches: list[Cache | None] = [None] * len(self.blocks)
        found: list[Tensor] = []
        for place in range(uniforms.shape[1]):
            for number, block in enumerate(self.blocks):
                hidden, caches[number] = block(hidden, caches[number])
            found.append(drawn(head(self.norm(hidden[:, -1])), uniforms[:, place], drawing))
            if place + 1 < uniforms.shape[1]:
                hidden = embedded(found[-1])[:, None] + self.position[length + place]
        return torch.stack(found, dim=1)

    def beginning(self, count: int, given: Tensor | None) -> Tensor:
        """The start, and the words of texts or of their beginnings, (B, 1 + n, width)."""
        if self.classes:
            return self.start(required(given))[:, None]
        start = self.start.weight[:1].expand(count, 1, -1)
        return torch.cat([start, self.word(required(given))], dim=1) if self.words else start


def nats_of_words(logits: Tensor, texts: Tensor) -> Tensor:
    """(B, LENGTH, words) and int64 (B, LENGTH) => -log p of each word and of the first end, (B, LENGTH)."""
    nats = F.cross_entropy(logits.flatten(0, 1), texts.flatten(), reduction="none").unflatten(0, texts.shape)
    return nats * real_words(texts)
