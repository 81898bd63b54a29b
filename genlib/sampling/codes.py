"""Samplers that draw codes after words: how they draw, and texts that they complete."""

from __future__ import annotations

import torch

from genlib.choices.section import LEAST_TEMPERATURE
from genlib.errors import UserError
from genlib.models.codes import Drawing
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
    """Draw codes in another way than method.prior says, by the values that are not None.

    Args:
        sampler: Whose network draws codes; it is changed.
        temperature: 0.001 to 1000; below 1 likelier codes.
        top_k: Codes that are drawn from, the likeliest ones.
        guidance: 0 to 1000; above 1 codes that fit the text better.

    UserError for a sampler without codes, guidance without texts, and values out of range.
    """
    asked = {"temperature": temperature, "top_k": top_k, "guidance": guidance}
    given = {name: value for name, value in asked.items() if value is not None}
    if not given:
        return
    codes = sampler.module.codes
    if codes is None:
        names = ", ".join(name.replace("_", "-") for name in given)
        raise UserError(f"{names}: of samplers that draw codes (vq_vae); this one takes --truncation.")
    if temperature is not None:
        given["temperature"] = finite(temperature, "temperature", LEAST_TEMPERATURE, MOST_TEMPERATURE)
    if top_k is not None:
        given["top_k"] = whole(top_k, "top_k", 1)
    if guidance is not None:
        given["guidance"] = finite(guidance, "guidance", 0, MOST_GUIDANCE)
        if sampler.condition is None or not sampler.condition.is_text:
            raise UserError(f"guidance ({guidance}) is towards what a caption says, and this sampler takes none.")
    codes.drawing = Drawing(**{**codes.drawing._asdict(), **given})


def completions(sampler: TrainedSampler, beginning: str, count: int, seed: int = 0) -> list[str]:
    """Texts that begin with these words, drawn by p(word | words before it), the same for the same seed.

    "" begins nothing. UserError for a sampler without texts, a word that is not known, and a count that is not 1 to
    10,000.
    """
    condition, codes = sampler.condition, sampler.module.codes
    if condition is None or condition.vocabulary is None or codes is None:
        raise UserError("this sampler knows no captions; train one as configs/captions_digits.yaml does.")
    count, seed = whole(count, "count", 1, MOST_CAPTIONS), whole(seed, "seed")
    words = [number for number in condition.vocabulary.encode(beginning) if number] if beginning.strip() else []
    begun = torch.tensor([words], dtype=torch.int64, device=sampler.device).expand(count, -1)
    open_places = condition.shape[0] - len(words)
    uniforms = torch.rand(count, open_places, generator=generator_for("completions", seed)).to(sampler.device)
    return [condition.vocabulary.decode(numbers) for numbers in codes.complete(begun, uniforms).tolist()]
