"""Trainings that are refused before the first step because of their data."""

from __future__ import annotations

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.data.parts import parts_of_train
from genlib.errors import UserError

FEWEST_TO_CHOOSE_BY = 10  # validation images, below which chance would choose the checkpoint


def refuse_impossible(config: RunConfig, dataset: DatasetFolder) -> None:
    """UserError where the dataset has too few images, or lacks labels that the method needs."""
    batch_size, rows = config.training.batch_size, len(dataset.images("train"))
    learned_from, left_out = map(len, parts_of_train(config, rows))
    if config.held_back and left_out < FEWEST_TO_CHOOSE_BY:
        raise UserError(
            f"data.validation_fraction ({config.held_back:g}) of the train split ({rows} images) is {left_out}, and "
            f"registry.metric ({config.registry.metric}) chooses the best checkpoint by {FEWEST_TO_CHOOSE_BY} or more; "
            "raise it, or choose by a metric of samples, such as fd_random."
        )
    if batch_size > learned_from:
        what = f"the train split without the {left_out} validation images" if left_out else "the train split"
        raise UserError(
            f"training.batch_size ({batch_size}) is larger than {what} ({learned_from} images); use at most "
            f"{learned_from}."
        )
    if not config.method.takes_labels:
        return
    if dataset.labels("train") is None:
        raise UserError(
            f"method.conditioning needs labels, which {config.data.source} has not; set method.conditioning=none, or "
            "name the labels' column in data.label_column."
        )
    if unknown := dataset.unlabelled("train"):
        raise UserError(
            f"method.conditioning needs a label for each image, and {unknown} of {rows} have none; leave these out, or "
            "set method.conditioning=none."
        )
