"""The outcome of evaluations during training: the last, and the best so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

FAR = 0.1  # share of the value by which the best must lie ahead of the last for a remark


@dataclass
class Evaluations:
    """Values of the metric that chooses the best checkpoint."""

    evaluated: int = 0  # the last step that was evaluated
    metric: str | None = None  # that these values are of
    best_step: int = 0
    best_value: float | None = None
    last_value: float | None = None
    keys: ClassVar[tuple[str, ...]] = ("evaluated", "metric", "best_step", "best_value", "last_value")

    def include(self, step: int, metric: str) -> bool:
        """Whether this step has been evaluated by this metric."""
        return self.evaluated == step and self.metric == metric

    def note(self, step: int, metric: str, value: float | None, lower_is_better: bool) -> bool:
        """Note a step's value, None where it has none; whether it is better than the best so far."""
        if self.metric != metric:
            self.metric, self.best_value = metric, None
        self.evaluated, self.last_value = step, value
        if value is None or self.best_value is None:
            return value is not None
        return value < self.best_value if lower_is_better else value > self.best_value

    def remark(self) -> str | None:
        """A sentence where the best value is far better than the last, as is common in adversarial training."""
        best, last = self.best_value, self.last_value
        if best is None or last is None or abs(best - last) <= FAR * max(abs(best), abs(last)):
            return None
        return (
            f"the best {self.metric} during training, {best:.4g} at step {self.best_step}, is far better than the "
            f"last, {last:.4g} at step {self.evaluated}; evaluation.checkpoint=best judges and registers the best."
        )

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        for field in fields(self):
            setattr(self, field.name, saved.get(field.name, field.default))
