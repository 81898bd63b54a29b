"""One complete run, typed and validated; free of torch, so that bad input is answered at once."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from genlib.choices.choice import Chosen
from genlib.choices.section import Section
from genlib.conditions import ConditionConfig
from genlib.conditions.none import NoCondition
from genlib.config.launcher import Launcher
from genlib.config.metrics import metrics
from genlib.config.rules import problems_of
from genlib.config.training import EvaluationConfig, RegistryConfig, TrainingConfig
from genlib.data.config import DataConfig
from genlib.methods import MethodConfig


class RunConfig(Section):
    """One complete run: dataset, condition, method, training, evaluation, registration, and the machines."""

    data: DataConfig = Field(DataConfig(), description="Images or points, and how they are prepared")
    condition: Chosen[ConditionConfig] = Field(NoCondition(), description="Condition that samples are drawn under")
    method: Chosen[MethodConfig] = Field(description="Family of the model, its networks and its losses")
    training: TrainingConfig = Field(TrainingConfig(), description="Length and numerics of the training")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="Features and samples that metrics are over")
    registry: RegistryConfig = Field(description="Registered model, and the gate that its versions pass")
    launcher: Chosen[Launcher] = Field(
        "process", validate_default=True, description="Machines and processes that the pipeline starts trainings on"
    )

    @model_validator(mode="after")
    def makes_sense(self) -> Self:
        for problem in problems_of(self):
            raise ValueError(problem)
        return self

    @property
    def held_back(self) -> float:
        """Share of the train split that training leaves out, to choose the best checkpoint by; 0 where a checkpoint is
        chosen by samples alone, or none is.
        """
        return self.data.validation_fraction if self.evaluation.every and self.chooses_by_held_out_images else 0.0

    @property
    def chooses_by_held_out_images(self) -> bool:
        """Whether the gate's metric is computed on held-out images, or on samples that have them as conditions."""
        return metrics()[self.registry.metric].is_held_out or self.condition.has_context
