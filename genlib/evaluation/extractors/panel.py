"""Which extractors judge a run, and what the classifier says of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder
from genlib.evaluation.extractors.classifier import Decision, classifier_extractor, classifier_folder, random_extractor
from genlib.evaluation.extractors.dinov2 import dinov2_extractor
from genlib.evaluation.extractors.features import Extractor
from genlib.evaluation.extractors.inception import inception_extractor
from genlib.evaluation.metrics.points import points_extractor
from genlib.evaluation.scoring.processes import Processes


@dataclass(frozen=True)
class Panel:
    """The extractors that look at every image."""

    main: Extractor  # its features are what most metrics are over
    others: tuple[Extractor, ...]  # random, as a sanity check beside it; classifier, for the classes
    classify: Decision | None  # from the classifier's features to classes; None without labels
    warnings: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[Extractor, ...]:
        return (self.main, *self.others)


def build_panel(
    config: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes, beside: bool = True
) -> Panel:
    """The extractor that is asked for, or the nearest that the data allows, and those beside it if they are wanted.

    UserError where weights are absent or not the right ones.
    """
    others: list[Extractor] = []
    warnings: tuple[str, ...] = ()
    classifier = decision = None
    if config.features == "points":
        return Panel(points_extractor().to(device), (), None)
    if dataset.number_of_classes() and (beside or config.features == "classifier"):
        folder = processes.first(lambda: classifier_folder(dataset, device))
        classifier, decision = classifier_extractor(dataset, folder, device)
    match config.features:
        case "inception":
            assert config.inception_weights and config.inception_sha256  # RunConfig sees to it
            main = inception_extractor(config.inception_weights, config.inception_sha256).to(device)
        case "dinov2":
            main = dinov2_extractor(config.dinov2_weights, config.dinov2_revision).to(device)
        case "classifier" if classifier:
            main = classifier
        case "classifier":
            main = random_extractor(dataset, device)
            warnings = ("The data has no labels to train a classifier on: features are those of a random network.",)
        case "random":
            main = random_extractor(dataset, device)
    if beside and main.name != "random":
        others.append(random_extractor(dataset, device))
    if beside and classifier is not None and main is not classifier:
        others.append(classifier)
    return Panel(main, tuple(others), decision, warnings)
