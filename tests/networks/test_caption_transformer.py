"""The transformer over words and codes: causal, the same with its cache and without, drawn as it is told."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from genlib.conditions.caption.words import LENGTH
from genlib.methods.vq_vae.transformer import CodeTransformer, drawn, nats_of_words
from genlib.models.codes import Drawing, real_words

WORDS, CODES, PLACES = 11, 7, 6


def transformer(scale: float = 8.0) -> CodeTransformer:
    """With weights so large that what it says of codes depends on all that came before."""
    torch.manual_seed(0)
    model = CodeTransformer(CODES, PLACES, width=16, layers=2, heads=2, words=WORDS, length=LENGTH).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale if parameter.ndim > 1 else 1.0)
    return model


def captions(count: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    found = torch.randint(1, WORDS, (count, LENGTH), generator=generator)
    for row in range(count):
        found[row, 3 + row :] = 0
    return found


def codes(count: int = 5) -> torch.Tensor:
    return torch.randint(CODES, (count, PLACES), generator=torch.Generator().manual_seed(2))


def test_words_depend_on_words_before_them_alone_and_codes_on_all_words() -> None:
    model, said, found = transformer(), captions(), codes()
    of_words, of_codes = model.joint(found, said)
    assert of_words.shape == (5, LENGTH, WORDS) and of_codes.shape == (5, PLACES, CODES)
    other = said.clone()
    other[:, 2] = other[:, 2] % (WORDS - 1) + 1
    words_after, codes_after = model.joint(found, other)
    torch.testing.assert_close(words_after[:, :3], of_words[:, :3])
    assert (words_after[:, 3] - of_words[:, 3]).abs().max() > 1e-3
    assert ((codes_after - of_codes).abs().amax((1, 2)) > 1e-3).all()
    moved = found.clone()
    moved[:, 3] = (moved[:, 3] + 1) % CODES
    words_then, codes_then = model.joint(moved, said)
    torch.testing.assert_close(words_then, of_words)
    torch.testing.assert_close(codes_then[:, :4], of_codes[:, :4])
    assert ((codes_then[:, 4:] - of_codes[:, 4:]).abs().amax((1, 2)) > 1e-3).all()


@pytest.mark.parametrize("drawing", [Drawing(), Drawing(0.7, 3, 2.5), Drawing(guidance=0.0)], ids=str)
def test_codes_drawn_with_a_cache_are_those_drawn_without(drawing: Drawing) -> None:
    model, said = transformer(), captions(5).repeat(60, 1)
    uniforms = torch.rand(len(said), PLACES, generator=torch.Generator().manual_seed(3))
    found = torch.zeros(len(said), PLACES, dtype=torch.int64)
    for place in range(PLACES):
        logits = model(found, said)[:, place]
        without = model(found, torch.zeros_like(said))[:, place]
        guided = without + drawing.guidance * (logits - without)
        found[:, place] = drawn(guided, uniforms[:, place], drawing)
    assert torch.equal(model.sample(uniforms, said, drawing), found)
    assert len(found.unique(dim=0)) > 50


def test_captions_completed_with_a_cache_are_those_completed_without() -> None:
    model = transformer()
    begun = captions(5)[:, :2].repeat(60, 1)
    uniforms = torch.rand(len(begun), LENGTH - 2, generator=torch.Generator().manual_seed(4))
    found = torch.cat([begun, torch.zeros(len(begun), LENGTH - 2, dtype=torch.int64)], dim=1)
    for place in range(2, LENGTH):
        logits = model.joint(codes(1).expand(len(begun), -1), found)[0][:, place]
        found[:, place] = drawn(logits, uniforms[:, place - 2], Drawing())
    ended = (found == 0).cumsum(1) > 0
    completed = model.complete(begun, uniforms)
    assert torch.equal(completed, found.masked_fill(ended, 0))
    assert torch.equal(completed[:, :2], begun) and len(completed.unique(dim=0)) > 50
    assert torch.equal(model.complete(begun[:, :0], torch.rand(len(begun), LENGTH))[:, -1] >= 0, torch.ones(300).bool())


def test_nats_are_of_each_word_and_of_the_first_end() -> None:
    model, said = transformer(), captions()
    logits, _ = model.joint(codes(), said)
    for row in range(5):
        words = 3 + row + 1
        expected = F.cross_entropy(logits[row, :words], said[row, :words], reduction="none")
        torch.testing.assert_close(model.word_nats(said)[row, :words], expected)
        assert not model.word_nats(said)[row, words:].any()
        assert real_words(said)[row].sum() == words
    uniform = nats_of_words(torch.zeros(5, LENGTH, WORDS), said)
    assert uniform[0, 0] == pytest.approx(math.log(WORDS))


def test_drawing_follows_temperature_and_top_k() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).expand(20_000, -1)
    uniforms = torch.rand(20_000, generator=torch.Generator().manual_seed(0))

    def shares(drawing: Drawing) -> torch.Tensor:
        return torch.bincount(drawn(logits, uniforms, drawing), minlength=4) / 20_000

    torch.testing.assert_close(shares(Drawing()), logits[0].softmax(0), atol=0.01, rtol=0)
    torch.testing.assert_close(shares(Drawing(0.5)), (2 * logits[0]).softmax(0), atol=0.01, rtol=0)
    two = torch.tensor([0, 0, *logits[0, 2:].softmax(0)])
    torch.testing.assert_close(shares(Drawing(top_k=2)), two, atol=0.01, rtol=0)
    assert shares(Drawing(top_k=1)).tolist() == [0, 0, 0, 1]
    edges = torch.tensor([0.0, 1.0])
    assert drawn(logits[:2], edges, Drawing(top_k=2)).tolist() == [2, 3]
    alike = torch.tensor([1.0, 1.0, 1.0, 2.0]).expand(20_000, -1)
    assert len(drawn(alike, uniforms, Drawing(top_k=2)).unique()) == 2
