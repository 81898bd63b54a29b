"""The extractors that look at every image of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genlib.choices.discovery import choices_of_kind
from genlib.config.extractors import ExtractorConfig
from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder
from genlib.evaluation.features import Extractor
from genlib.evaluation.preflight import extractor_for
from genlib.evaluation.scoring.processes import Processes

BESIDE = ("random", "classifier")  # a check that does not depend on training, and the classes


@dataclass(frozen=True)
class Extractors:
    """The extractors that look at every image."""

    main: Extractor  # its features are what most metrics are over
    others: tuple[Extractor, ...]
    warnings: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[Extractor, ...]:
        return (self.main, *self.others)

    @property
    def classifier(self) -> Extractor | None:
        """The first whose features lead to classes; None without labels."""
        return next((extractor for extractor in self.all if extractor.classify is not None), None)


def build_extractors(
    asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes, beside: bool = True
) -> Extractors:
    """The extractor that is asked for, or the nearest that the data allows, and those beside it if they are wanted.

    UserError where weights are absent or not the right ones.
    """
    known = choices_of_kind(ExtractorConfig)
    chosen, warnings = extractor_for(asked, dataset)
    names = [name for name in BESIDE if name != chosen.name] if beside and not chosen.takes_points else []
    others = [known[name](name=name) for name in names if can_use(known[name], dataset)]
    main, *built = (choice.build(asked, dataset, device, processes) for choice in (chosen, *others))
    return Extractors(main, tuple(built), warnings)


def can_use(extractor: type[ExtractorConfig], dataset: DatasetFolder) -> bool:
    return not extractor.needs_labels or bool(dataset.number_of_classes())
