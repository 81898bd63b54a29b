"""The model that MLflow serves: images from a trained sampler. MLflow copies this file and runs it where it loads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class SamplerModel(PythonModel):
    """Input: rows with a `count`. Output: uint8 (sum of counts, C, H, W), the same for the same seed."""

    def load_context(self, context: PythonModelContext) -> None:
        from genlib.sampling import load_sampler

        self.sampler = load_sampler(context.artifacts["sampler"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        chosen = {"seed": 0, "truncation": 0.0} | (params or {})
        count = int(model_input["count"].sum())
        return self.sampler.images(count, chosen["seed"], chosen["truncation"] or None).numpy()


set_model(SamplerModel())
