"""Samplers that draw codes after words: how they draw, and captions that they complete."""

from __future__ import annotations

import math

import torch

from genlib.conditions import Captions
from genlib.conditions.words import LENGTH
from genlib.config.methods import LEAST_TEMPERATURE
from genlib.errors import UserError
from genlib.methods.vq_vae import CodeDecoder
from genlib.networks.transformer import Drawing
from genlib.randomness import generator_for
from genlib.sampling import TrainedSampler


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
    for name, least in (("temperature", LEAST_TEMPERATURE), ("top_k", 1), ("guidance", 0.0)):
        value = given.get(name)
        if value is not None and not least <= value < math.inf:
            raise UserError(f"{name} ({value}) must be {least:g} or more, and finite.")
    if guidance is not None and not isinstance(sampler.condition, Captions):
        raise UserError(f"guidance ({guidance}) is towards what a caption says, and this sampler takes none.")
    network.drawing = Drawing(**{**network.drawing._asdict(), **given})


def completions(sampler: TrainedSampler, beginning: str, count: int, seed: int = 0) -> list[str]:
    """Captions that begin with these words, drawn by p(word | words before it), the same for the same seed.

    "" begins nothing. UserError for a sampler without captions, a word that is not known, and a count below 1.
    """
    condition, network = sampler.condition, sampler.module.network
    if not isinstance(condition, Captions) or not isinstance(network, CodeDecoder):
        raise UserError("this sampler knows no captions; train one as configs/captions_digits.yaml does.")
    if count < 1:
        raise UserError(f"count ({count}) must be at least 1.")
    words = [number for number in condition.vocabulary.encode(beginning) if number] if beginning.strip() else []
    given = torch.tensor([words], dtype=torch.int64, device=sampler.device).expand(count, -1)
    uniforms = torch.rand(count, LENGTH - len(words), generator=generator_for("completions", seed)).to(sampler.device)
    drawing = network.drawing._replace(top_k=None)  # of codes, of which there are more
    return condition.decode(network.prior.complete(given, uniforms, drawing))
