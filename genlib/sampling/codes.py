"""Samplers that draw codes after words: how they draw, and captions that they complete."""

from __future__ import annotations

import torch

from genlib.conditions.captions import Captions
from genlib.conditions.words import LENGTH
from genlib.errors import UserError
from genlib.methods.vq_vae.config import LEAST_TEMPERATURE
from genlib.methods.vq_vae.sampler import CodeDecoder
from genlib.methods.vq_vae.transformer import Drawing
from genlib.runtime.randomness import generator_for
from genlib.sampling.requests import finite, whole
from genlib.sampling.sampler import TrainedSampler

MOST_TEMPERATURE, MOST_GUIDANCE = 1e3, 1e3  # far beyond use; beyond float32's range, logits would be NaN or infinite
MOST_CAPTIONS = 10_000  # that are completed at once: they are computed in one batch


def draw_otherwise(
    sampler: TrainedSampler,
    temperature: float | None = None,
    top_k: int | None = None,
    guidance: float | None = None,
) -> None:
    """Draw codes in another way than method.prior says, where something is given.

    UserError for a sampler without codes, guidance without captions, and values out of range.
    """
    asked = {"temperature": temperature, "top_k": top_k, "guidance": guidance}
    given = {name: value for name, value in asked.items() if value is not None}
    if not given:
        return
    network = sampler.module.network
    if not isinstance(network, CodeDecoder):
        names = ", ".join(name.replace("_", "-") for name in given)
        raise UserError(f"{names}: of samplers that draw codes (vq_vae); this one takes --truncation.")
    if temperature is not None:
        given["temperature"] = finite(temperature, "temperature", LEAST_TEMPERATURE, MOST_TEMPERATURE)
    if top_k is not None:
        given["top_k"] = whole(top_k, "top_k", 1)
    if guidance is not None:
        given["guidance"] = finite(guidance, "guidance", 0, MOST_GUIDANCE)
    if guidance is not None and not isinstance(sampler.condition, Captions):
        raise UserError(f"guidance ({guidance}) is towards what a caption says, and this sampler takes none.")
    network.drawing = Drawing(**{**network.drawing._asdict(), **given})


def completions(sampler: TrainedSampler, beginning: str, count: int, seed: int = 0) -> list[str]:
    """Captions that begin with these words, drawn by p(word | words before it), the same for the same seed.

    "" begins nothing. UserError for a sampler without captions, a word that is not known, and a count that is not 1 to
    10,000.
    """
    condition, network = sampler.condition, sampler.module.network
    if not isinstance(condition, Captions) or not isinstance(network, CodeDecoder):
        raise UserError("this sampler knows no captions; train one as configs/captions_digits.yaml does.")
    count, seed = whole(count, "count", 1, MOST_CAPTIONS), whole(seed, "seed")
    words = [number for number in condition.vocabulary.encode(beginning) if number] if beginning.strip() else []
    given = torch.tensor([words], dtype=torch.int64, device=sampler.device).expand(count, -1)
    uniforms = torch.rand(count, LENGTH - len(words), generator=generator_for("completions", seed)).to(sampler.device)
    drawing = network.drawing._replace(top_k=None)  # of codes, of which there are more
    return condition.decode(network.prior.complete(given, uniforms, drawing))
