"""The model that MLflow serves: images from a trained sampler. MLflow copies this file and runs it where it loads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class SamplerModel(PythonModel):
    """Input: rows with a `count`, and of a conditional sampler a `label` if it is to be chosen. Output: uint8 (sum of
    counts, C, H, W), or float32 (sum of counts, 2), the same for the same seed.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from genlib.sampling import load_sampler

        self.sampler = load_sampler(context.artifacts["sampler"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        chosen = {"seed": 0, "truncation": 0.0} | (params or {})
        counts = model_input["count"].astype(int)
        labels = None
        if "label" in model_input and model_input["label"].notna().any():
            names = model_input["label"].repeat(counts).tolist()
            labels = self.sampler.labels_named(names, len(names))
        count = int(counts.sum())
        return self.sampler.images(count, chosen["seed"], chosen["truncation"] or None, labels).numpy()


set_model(SamplerModel())
