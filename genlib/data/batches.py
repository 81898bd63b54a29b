"""Training batches as a function of (seed, step): which images or points, in which order, on which device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genlib.contexts.base import Condition
from genlib.data.read_ahead import ReadAhead
from genlib.models.base import Batch
from genlib.pixels.scale import binarized, mirrored, to_unit
from genlib.runtime.randomness import generator_for, stream_for


class EpochOrder:
    """The row of the dataset at each position of an endless run of epochs, each a permutation from (seed, epoch).

    An epoch has all `rows`, or those that are `chosen`, int64 (rows,).
    """

    def __init__(self, rows: int, seed: int, device: torch.device, chosen: Tensor | None = None) -> None:
        self.rows, self.seed, self.device = rows, seed, device
        self.chosen = chosen
        self._permutations: dict[int, Tensor] = {}

    def __call__(self, first: int, count: int) -> Tensor:
        """Rows at positions first .. first + count - 1; int64 (count,)."""
        parts = []
        while count > 0:
            epoch, offset = divmod(first, self.rows)
            part = self._permutation(epoch)[offset : offset + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            generator = generator_for("batch order", self.seed, epoch)
            order = torch.randperm(self.rows, generator=generator)
            self._permutations[epoch] = (order if self.chosen is None else self.chosen[order]).to(self.device)
            for old in [known for known in self._permutations if known < epoch - 1]:
                del self._permutations[old]
        return self._permutations[epoch]


class Batches:
    """This process's micro-batches of each training step.

    A step draws `draws` batches of `batch_size` rows (more than one where a phase repeats); each is cut into
    `micro_batches` equal parts, of which this process takes `mine`. The images lie on the device as uint8 if they fit
    into `resident_bytes`; otherwise they are read from the memory-mapped file, some steps ahead.
    `mirror` exchanges left and right in half of the images, and `binarize` draws every pixel as -1 or 1, both afresh
    each time. Points keep their values. With a `condition` each image has its context, made from it as it is in the
    batch, or taken from the `contexts` that are stored. Batches hold images of the `chosen` rows alone where these are
    given.
    """

    def __init__(
        self,
        images: np.ndarray,  # uint8 (N, C, H, W), or float32 points (N, 2)
        labels: np.ndarray | None,  # int64 (N,)
        *,
        batch_size: int,
        micro_batches: int,
        mine: range,
        draws: int,
        seed: int,
        device: torch.device,
        resident_bytes: float,
        memory_format: torch.memory_format = torch.contiguous_format,
        mirror: bool = False,
        binarize: bool = False,
        condition: Condition | None = None,
        contexts: np.ndarray | None = None,  # as the condition stores them, (N, *condition.shape)
        chosen: Tensor | None = None,  # int64 (n,), on the CPU
    ) -> None:
        self.device, self.memory_format = device, memory_format if images.ndim == 4 else torch.contiguous_format
        self._mirror, self._binarize, self._condition = mirror, binarize, condition
        self._draws, self._batch_size, self._mine = draws, batch_size, mine
        self._part = batch_size // micro_batches
        self._labels, self._contexts = (
            None if known is None else torch.from_numpy(np.asarray(known)).to(device) for known in (labels, contexts)
        )
        self._images: Tensor | ReadAhead
        if images.nbytes <= resident_bytes:
            self._images = torch.from_numpy(np.array(images)).to(device)
        else:
            self._images = ReadAhead(images, device)
        self._chosen, self._rows_in_all = chosen, len(images) if chosen is None else len(chosen)
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """Start anew with another seed: another order of the images, and other draws of sides and pixels."""
        self._seed = seed
        place = self.device if self.resident else torch.device("cpu")
        self._order = EpochOrder(self._rows_in_all, seed, place, self._chosen)
        if isinstance(self._images, ReadAhead):
            self._images.begin(self._rows)

    @property
    def resident(self) -> bool:
        return isinstance(self._images, Tensor)

    def of_step(self, step: int) -> list[list[Batch]]:
        """Step `step` (from 0): for each draw, this process's micro-batches, valid until the next call."""
        if isinstance(self._images, Tensor):
            parts = [(rows, self._images.index_select(0, rows)) for rows in self._rows(step)]
        else:
            parts = self._images(step)
        places = [(step, draw, part) for draw in range(self._draws) for part in self._mine]
        batches = [self._batch(rows, images, place) for (rows, images), place in zip(parts, places, strict=True)]
        share = len(self._mine)
        return [batches[draw * share : (draw + 1) * share] for draw in range(self._draws)]

    def _rows(self, step: int) -> list[Tensor]:
        starts = [(step * self._draws + draw) * self._batch_size for draw in range(self._draws)]
        return [self._order(start + part * self._part, self._part) for start in starts for part in self._mine]

    def _batch(self, rows: Tensor, images: Tensor, place: tuple[int, int, int]) -> Batch:
        if self._mirror:
            images = mirrored(images, stream_for("mirror", self._seed, *place, device=self.device))
        images = to_unit(images)
        if self._binarize:
            images = binarized(images, stream_for("binarize", self._seed, *place, device=self.device))
        labels, context = (self._of_rows(known, rows) for known in (self._labels, self._contexts))
        if self._condition is not None:
            context = self._condition.of_images(images, context, stream_for("condition", self._seed, *place))
        return Batch(images.contiguous(memory_format=self.memory_format), labels, context)

    def _of_rows(self, known: Tensor | None, rows: Tensor) -> Tensor | None:
        return None if known is None else known.index_select(0, rows.to(self.device, non_blocking=True))
