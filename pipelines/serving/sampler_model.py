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
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from mlflow.pyfunc import PythonModel, PythonModelContext

log = logging.getLogger(__name__)
MOST_VALUES = 2**24  # pixels or coordinates, of all channels, that one request may ask for
IGNORED = re.compile(r"Unrecognized params \[.*?\]")  # MLflow's warning about them
SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # set to "true" by MLflow's scoring server


class SamplerModel(PythonModel):
    """Input: rows with a `count`, and for a sampler that takes labels a `label` if it is to be chosen. Output: uint8
    (sum of counts, C, H, W), or float32 (sum of counts, 2), the same for the same seed. For a sampler with a condition
    the input is contexts, in rows or as an array, as the condition says, and the output `samples` of each, one after
    another.

    The signature says nothing of the input, because MLflow would convert it before it comes here: 3.7 and true into 3
    and 1. What cannot be drawn is an MlflowException that says what to mend, which a server answers with status 400.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from genlib.sampling.load import load_sampler

        self.sampler = load_sampler(context.artifacts["sampler"])
        logging.getLogger("mlflow.models.utils").addFilter(refuse_what_is_ignored)

    # MLflow hands over arrays, dicts and lists too, and warns of every other hint than DataFrame.
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        from genlib.errors import UserError, one_line

        chosen = {"seed": 0, "truncation": 0.0, "samples": 1} | (params or {})
        try:
            if self.sampler.condition is not None:
                return self.of_contexts(self.contexts_in(model_input), chosen)
            return self.of_rows(model_input, chosen)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(one_line(str(error))) from error
        except Exception as error:  # MLflow's server would answer with the stack trace
            log.exception("a request failed")
            raise MlflowException("the sampler failed; the server's log says how.", INTERNAL_ERROR) from error

    def of_rows(self, model_input: Any, chosen: dict[str, Any]) -> np.ndarray:
        """UserError for rows that are no requests, and for more images than one answer can hold."""
        import torch

        from genlib.errors import UserError
        from genlib.sampling.requests import whole

        rows = rows_in(model_input, ["count", *(["label"] if self.sampler.classes else [])])
        counts = [whole(count, "count", 1) for count in rows["count"].tolist()]
        self.check_total(sum(counts), "count")
        labels = None
        if "label" in rows and rows["label"].notna().any():
            if rows["label"].isna().any():
                raise UserError("some rows have a label and some have none; give one in each, or in none.")
            named = self.sampler.labels_named(rows["label"].tolist(), len(rows))
            labels = named.repeat_interleave(torch.tensor(counts))
        return self.sampler.images(sum(counts), chosen["seed"], chosen["truncation"], labels).numpy()

    def contexts_in(self, model_input: Any) -> Any:
        """The contexts of a request, a tensor (n, *shape) as stored; UserError where it holds something else."""
        condition = self.sampler.condition
        assert condition is not None
        if condition.served_column is not None:
            return condition.requested(
                rows_in(model_input, [condition.served_column])[condition.served_column].tolist()
            )
        if isinstance(model_input, pd.DataFrame):
            model_input = model_input.iloc[:, 0].tolist() if len(model_input.columns) == 1 else model_input.to_numpy()
        return condition.requested(model_input)

    def of_contexts(self, contexts: Any, chosen: dict[str, Any]) -> np.ndarray:
        """UserError for contexts of another form, and for more samples than one answer can hold."""
        from genlib.errors import UserError
        from genlib.sampling.requests import whole

        if contexts.ndim == 0 or not len(contexts):
            assert self.sampler.condition is not None
            raise UserError(f"the request holds no contexts; give {self.sampler.condition.form()}.")
        samples = whole(chosen["samples"], "samples", 1)
        self.check_total(len(contexts) * samples, "n x samples")
        return self.sampler.images_of_contexts(contexts, samples, chosen["seed"], chosen["truncation"]).numpy()

    def check_total(self, total: int, name: str) -> None:
        """UserError where one answer cannot hold so many."""
        from genlib.errors import UserError

        shape = self.sampler.image_shape
        most = max(1, MOST_VALUES // math.prod(shape))
        if total > most:
            what = "points" if len(shape) == 1 else f"images of {'x'.join(map(str, shape))}"
            raise UserError(f"{name} ({total}) is more than {most} {what}; ask several times, with other seeds.")


def rows_in(model_input: Any, columns: list[str]) -> pd.DataFrame:
    """The rows of a request in whichever form MLflow hands it over; UserError where the first of these columns is
    missing, or there are others.
    """
    from genlib.errors import UserError

    form = f"rows with {' and '.join(columns)}"
    if not isinstance(model_input, pd.DataFrame | dict):
        model_input = {columns[0]: model_input}
    try:
        if isinstance(model_input, dict):
            model_input = pd.DataFrame({name: np.atleast_1d(values) for name, values in model_input.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"the input is no table ({error}); give {form}.") from error
    rows: pd.DataFrame = model_input
    if not rows.columns.is_unique:
        raise UserError(f"two columns have one name ({', '.join(map(str, rows))}); give {form}.")
    if others := [str(name) for name in rows if name not in columns]:
        raise UserError(f"the sampler takes no {', '.join(others)}; give {form}.")
    if columns[0] not in rows or not len(rows):
        raise UserError(f"no rows, or none with a {columns[0]}; give {form}.")
    return rows


def refuse_what_is_ignored(record: logging.LogRecord) -> bool:
    """Parameters that a model does not have are dropped by MLflow, with a warning in the server's log.

    Who asked would get other images than those asked for, and not know: a server, which has this model alone, refuses.
    """
    if os.environ.get(SERVING) == "true" and (ignored := IGNORED.match(str(record.msg))):
        known = "parameters are seed and truncation, and samples where there is a condition"
        raise MlflowException.invalid_parameter_value(f"{ignored[0].replace('`', '')}; {known}.")
    return True


set_model(SamplerModel())
