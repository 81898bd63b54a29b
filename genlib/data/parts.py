"""Images that a model is evaluated on and not trained on: the test split, or a validation part of the train split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder, Split
from genlib.runtime.randomness import generator_for


@dataclass(frozen=True)
class HeldOutPart:
    """Rows of a dataset folder's split."""

    dataset: DatasetFolder
    name: Literal["test", "validation"]
    rows: Tensor  # int64 (N,), ascending

    @property
    def split(self) -> Split:
        return "test" if self.name == "test" else "train"


def whole_test_split(dataset: DatasetFolder) -> HeldOutPart:
    return HeldOutPart(dataset, "test", torch.arange(dataset.manifest.counts["test"]))


def choosing_part(config: RunConfig, dataset: DatasetFolder) -> HeldOutPart:
    """The images by which evaluations during training choose the best checkpoint: the validation part, or the test
    split where training leaves none out.
    """
    if not config.held_back:
        return whole_test_split(dataset)
    return HeldOutPart(dataset, "validation", parts_of_train(config, dataset.manifest.counts["train"])[1])


def parts_of_train(config: RunConfig, rows: int) -> tuple[Tensor, Tensor]:
    """The rows of a train split of `rows` images that are trained on, and those of the validation part; both int64 and
    ascending. Which ones is a function of training.seed, and the second is empty where `config.held_back` is 0.
    """
    count = round(config.held_back * rows)
    order = torch.randperm(rows, generator=generator_for("validation rows", config.training.seed))
    return order[count:].sort().values, order[:count].sort().values


def chosen_on(config: RunConfig, dataset: DatasetFolder) -> dict[str, Any]:
    """Facts for result.json about the images that choose the best checkpoint; empty where samples alone do."""
    if not config.chooses_by_held_out_images:
        return {}
    part = choosing_part(config, dataset)
    used = min(config.evaluation.every_samples, len(part.rows))
    return {"split": part.name, "images": used, **(validation_facts(config, dataset) or {})}


def validation_facts(config: RunConfig, dataset: DatasetFolder) -> dict[str, Any] | None:
    """The values that determine the rows of the validation part; None where there is none."""
    if not config.held_back:
        return None
    left_out = len(parts_of_train(config, dataset.manifest.counts["train"])[1])
    return {"fraction_of_train": config.held_back, "left_out_of_training": left_out, "seed": config.training.seed}
