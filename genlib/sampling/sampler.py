"""A trained sampler: images of labels, contexts or nothing, by number and seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from genlib.contexts.base import Condition
from genlib.errors import UserError, did_you_mean
from genlib.layers.shapes import ImageShape
from genlib.models.sampler import Sampler
from genlib.pixels.scale import to_stored
from genlib.sampling.draw import CHUNK, draw_labels, draw_latents
from genlib.sampling.requests import check_memory, finite, shown, whole

LEAST_TRUNCATION, MOST_TRUNCATION = 1e-3, 10.0  # below, all latents are as good as 0; above, N(0, 1) has no values
MOST_NAMES = 10  # labels that a message lists

Contexts = Callable[[Condition, int], Tensor]  # (condition, chunk) => contexts as stored, (256, *condition.shape)


class TrainedSampler:
    """Images from a sampler in eval mode: image i of a seed is the same whatever else is asked for.

    One that takes labels draws them as often as the data has them (`label_shares`), or takes those that it is asked
    for. One that takes contexts takes those that it is asked for, or those of the image's chunk that it is bound to.
    """

    def __init__(
        self,
        module: Sampler,
        image_shape: ImageShape,
        label_shares: list[float] | None = None,
        label_names: list[str] | None = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        self.module = module.eval()
        self.image_shape = image_shape
        self.latent_size = module.latent_size
        self.classes = module.classes
        self.condition = module.condition
        self.label_shares = label_shares
        self.label_names = label_names
        self.info = info or {}
        self.device = next(module.parameters()).device
        self._contexts: Contexts | None = None

    def bound_to(self, contexts: Contexts) -> TrainedSampler:
        """The same sampler, which takes these contexts where it is asked for no others; it takes none without a
        condition.
        """
        bound = copy(self)
        bound._contexts = contexts
        return bound

    def labels(self, index: int, seed: int = 0) -> Tensor | None:
        """The labels of a seed's chunk, int64 (256,); None without labels."""
        if not self.classes:
            return None
        return draw_labels(self.label_shares or [1 / self.classes] * self.classes, seed, index)

    def given(self, index: int, seed: int = 0) -> Tensor | None:
        """The condition of a seed's chunk: labels int64 (256,), contexts as networks take them, or nothing.

        UserError for a sampler that takes contexts and is bound to none.
        """
        if not self.condition:
            return self.labels(index, seed)
        return self.condition.taken(self.stored_contexts(index))

    def stored_contexts(self, index: int) -> Tensor:
        """The contexts of a chunk that the sampler is bound to, as stored, (256, *condition.shape); UserError without.

        They are the same for every seed.
        """
        assert self.condition is not None, "the sampler takes no contexts"
        if self._contexts is None:
            raise UserError(
                f"this sampler draws under a condition ({self.condition.name}), and none is named; give "
                f"{self.condition.form()}."
            )
        return self._contexts(self.condition, index)

    def chunk(
        self,
        index: int,
        seed: int = 0,
        count: int = CHUNK,
        truncation: float | None = None,
        given: Tensor | None = None,
    ) -> Tensor:
        """The first `count` of a seed's images 256 * index .. 256 * index + 255; uint8 (count, C, H, W), or float32
        (count, 2).
        """
        latents = draw_latents(self.latent_size, seed, index, truncation)[:count]
        given = self.given(index, seed) if given is None else given
        with torch.inference_mode():
            chosen = None if given is None else given[:count].to(self.device)
            return to_stored(self.module(latents.to(self.device), chosen)).cpu()

    def images(
        self,
        count: int,
        seed: int = 0,
        truncation: float | None = None,
        labels: Tensor | None = None,
        contexts: Tensor | None = None,
    ) -> Tensor:
        """uint8 (count, C, H, W), or float32 (count, 2), on the CPU; under `labels`, int64 (count,), or
        `contexts` (count, *condition.shape), as stored, if they are given.

        UserError where `count` is not positive or more than memory holds, `seed` is not 0 to 2^63 - 1, `truncation` is
        neither 0 (none) nor 0.001 to 10, or labels or contexts are not those that the sampler takes.
        """
        count, seed = whole(count, "count", 1), whole(seed, "seed")
        check_memory(count, self.image_shape)
        if truncation is not None:
            self.check_truncation(truncation)
        if labels is not None:
            self.check_labels(labels, count)
        if contexts is not None:
            self.check_contexts(contexts, count)
        given = (
            labels if contexts is None or not self.condition else self.condition.taken(self.condition.cleaned(contexts))
        )
        images = torch.empty(count, *self.image_shape, dtype=torch.uint8 if len(self.image_shape) == 3 else torch.float)
        for start in range(0, count, CHUNK):
            places = slice(start, min(start + CHUNK, count))
            images[places] = self.chunk(
                start // CHUNK, seed, places.stop - start, truncation, None if given is None else given[places]
            )
        return images

    def check_truncation(self, truncation: float) -> None:
        """UserError unless it is 0 (none), or a bound that latents of this sampler can be restricted to."""
        if finite(truncation, "truncation", 0, MOST_TRUNCATION) == 0:
            return
        finite(truncation, "truncation", LEAST_TRUNCATION, MOST_TRUNCATION)
        if self.module.codes is not None:
            raise UserError(
                f"truncation ({truncation}) is of latents, and this sampler draws codes; give a temperature below 1 or "
                "top_k instead (genlib sample --temperature, --top-k)."
            )

    def check_contexts(self, contexts: Tensor, count: int) -> None:
        """UserError unless there is a context for each image, of the type and shape that the sampler takes."""
        if not self.condition:
            raise UserError("this sampler was trained without a condition; ask for a count only.")
        found = tuple(contexts.shape[1:])
        if found != self.condition.shape or contexts.dtype != self.condition.dtype:
            raise UserError(
                f"the contexts are {str(contexts.dtype)[6:]} of shape {found}, and this sampler (condition "
                f"{self.condition.name}) takes {str(self.condition.dtype)[6:]} of shape {self.condition.shape}: "
                f"{self.condition.form()}."
            )
        if len(contexts) != count:
            raise UserError(f"{len(contexts)} {self.condition.name} contexts for {count} samples; give one for each.")
        if fault := self.condition.fault(contexts):
            raise UserError(fault)

    def check_labels(self, labels: Tensor, count: int) -> None:
        """UserError unless there is a known label for each image."""
        self.check_takes_labels()
        if len(labels) != count:
            raise UserError(f"{len(labels)} labels for {count} images; give one for each.")
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise UserError(f"labels are {str(labels.dtype)[6:]}; give int64.")
        wrong = labels[(labels < 0) | (labels >= self.classes)]
        if len(wrong):
            raise UserError(f"label {int(wrong[0])} is unknown; use 0 to {self.classes - 1}.")

    def check_takes_labels(self) -> None:
        if not self.classes:
            raise UserError("this sampler was trained without labels; ask for a count only.")

    def labels_named(self, given: Sequence[object], count: int) -> Tensor:
        """The labels that these names stand for, in turn, int64 (count,).

        Each is a name; where no name reads as a number it may also be an index from 0 to classes - 1. UserError for
        others, and for more of them than images.
        """
        self.check_takes_labels()
        if not given:
            raise UserError(f"no label is named; use {self._known_labels()}.")
        if len(given) > count:
            raise UserError(f"{len(given)} labels for {count} images; ask for {len(given)} images at least.")
        names = self.label_names or []
        known = {name.strip(): label for label, name in enumerate(names)} | {
            name: label for label, name in enumerate(names)
        }
        labels = torch.tensor([self._label_of(one, known) for one in given])
        return labels.repeat(-(-count // len(labels)))[:count]

    def _label_of(self, given: object, known: dict[str, int]) -> int:
        text = as_text(given)
        for name in (text, text.strip()):
            if name in known:
                return known[name]
        if self.takes_indices and INDEX.fullmatch(text.strip()) and int(text) < self.classes:
            return int(text)
        raise UserError(f"label {shown(given)} is unknown{did_you_mean(text, known)}; use {self._known_labels()}.")

    @property
    def takes_indices(self) -> bool:
        """Whether an index can stand for a label's name: not where a name could be mistaken for one."""
        return not any(reads_as_number(name) for name in self.label_names or [])

    def _known_labels(self) -> str:
        names = self.label_names or []
        more = len(names) - MOST_NAMES
        listed = ", ".join(names[:MOST_NAMES]) + (f" (and {more} more)" if more > 0 else "")
        if not self.takes_indices:
            return f"a name: {listed}"
        return f"0 to {self.classes - 1}" + (f", or a name such as {listed}" if names else "")

    def images_of_contexts(self, contexts: Tensor, each: int, seed: int = 0, truncation: float | None = None) -> Tensor:
        """`each` images under each context (n, *condition.shape), uint8 (n * each, C, H, W), those of one context
        together. UserError as of `images`.
        """
        each = whole(each, "count", 1)
        check_memory(len(contexts) * each, self.image_shape)
        return self.images(len(contexts) * each, seed, truncation, contexts=contexts.repeat_interleave(each, 0))


INDEX = re.compile("[0-9]{1,9}")


def as_text(label: object) -> str:
    """A label as a name is written: text as it is, 3 and 3.0 as '3', 0.5 as '0.5'; others as Python shows them."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def reads_as_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
