"""The model that MLflow serves: images from a trained sampler. MLflow copies this file and runs it where it loads."""

from __future__ import annotations

import logging
import math
import os
import re
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

MOST_VALUES = 2**24  # pixels or coordinates, of all channels, that one request may ask for
IGNORED = re.compile(r"Unrecognized params \[.*?\]|Found extra inputs .*?\]")  # MLflow's warnings about them
SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # set to "true" by MLflow's scoring server


class SamplerModel(PythonModel):
    """Input: rows with a `count`, and of a conditional sampler a `label` if it is to be chosen. Output: uint8 (sum of
    counts, C, H, W), or float32 (sum of counts, 2), the same for the same seed. Of a sampler that images or captions
    are given to, the input is these, uint8 (n, K, h, w) or rows with a `caption`, and the output `samples` of each, one
    after another.

    What cannot be drawn is an MlflowException that says what to mend, which a server answers with status 400.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from genlib.sampling import load_sampler

        self.sampler = load_sampler(context.artifacts["sampler"])
        logging.getLogger("mlflow.models.utils").addFilter(refuse_what_is_ignored)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        from genlib.errors import UserError

        chosen = {"seed": 0, "truncation": 0.0, "samples": 1} | (params or {})
        try:
            if self.sampler.condition is not None:
                return self.of_contexts(self.contexts_in(model_input), chosen)
            counts = self.counts_in(model_input)
            labels = None
            if "label" in model_input and model_input["label"].notna().any():
                if model_input["label"].isna().any():
                    raise UserError("some rows have a label and some have none; give one in each, or in none.")
                names = model_input["label"].repeat(counts).tolist()
                labels = self.sampler.labels_named(names, len(names))
            count = int(counts.sum())
            return self.sampler.images(count, chosen["seed"], chosen["truncation"] or None, labels).numpy()
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def contexts_in(self, model_input: pd.DataFrame | np.ndarray) -> Any:
        """A tensor of what is given; UserError for captions with words that are not known."""
        import torch

        from genlib.conditions import Captions
        from genlib.errors import UserError

        condition = self.sampler.condition
        if isinstance(condition, Captions) and isinstance(model_input, pd.DataFrame):
            if model_input["caption"].isna().any():
                raise UserError(f"some rows have no caption; give one in each, such as '{condition.sentence()}'.")
            return condition.encode(model_input["caption"].tolist())
        return torch.from_numpy(np.array(model_input))

    def of_contexts(self, given: Any, chosen: dict[str, Any]) -> np.ndarray:
        """UserError for contexts of another form, and for more samples than one answer can hold."""
        self.check_total(len(given) * chosen["samples"], "n x samples")
        truncation = chosen["truncation"] or None
        return self.sampler.of_contexts(given, chosen["samples"], chosen["seed"], truncation)[1].numpy()

    def counts_in(self, rows: pd.DataFrame) -> pd.Series:
        """UserError unless each row asks for images, and all together for no more than one answer can hold."""
        from genlib.errors import UserError

        counts = rows["count"].astype(int)
        if not len(counts):
            raise UserError("no rows; give one with a count, such as 16.")
        if (counts < 1).any():
            raise UserError(f"count ({counts.min()}) must be at least 1.")
        self.check_total(sum(counts.tolist()), "count")
        return counts

    def check_total(self, total: int, name: str) -> None:
        """UserError where one answer cannot hold so many."""
        from genlib.errors import UserError

        shape = self.sampler.image_shape
        most = max(1, MOST_VALUES // math.prod(shape))
        if total > most:
            what = "points" if len(shape) == 1 else f"images of {'x'.join(map(str, shape))}"
            raise UserError(f"{name} ({total}) is more than {most} {what}; ask several times, with other seeds.")


def refuse_what_is_ignored(record: logging.LogRecord) -> bool:
    """Parameters and columns that a model does not have are dropped by MLflow, with a warning in the server's log.

    Who asked would get other images than those asked for, and not know: a server, which has this model alone, refuses.
    """
    if os.environ.get(SERVING) == "true" and (ignored := IGNORED.match(str(record.msg))):
        known = (
            "a row has a count, and a label where the model is conditional, or a caption alone; parameters are seed "
            "and truncation, and samples where images or captions are given"
        )
        raise MlflowException.invalid_parameter_value(f"{ignored[0].replace('`', '')}; {known}.")
    return True


set_model(SamplerModel())
