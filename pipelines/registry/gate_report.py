"""The gate's result with both tables: as tags and description of the version, and for a flow run's page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from genlib.config.metrics import direction_of
from pipelines.registry.gate import GateResult
from pipelines.registry.scores import Scores, definition_of

DESCRIPTION_LENGTH = 5000  # characters that MLflow's databases hold


class GateReport(NamedTuple):
    """The result for a candidate, and all that its description tells."""

    metric: str
    margin: float
    result: GateResult
    candidate: Scores
    champion: Scores | None  # as it was compared
    parent: str | None  # the version that was champion
    alias: str  # that the candidate got: champion, challenger or none, ""
    remarks: Sequence[str] = ()  # on the training, on how the champion was measured, and on who is challenger

    @property
    def reason(self) -> str:
        return "; ".join([self.result.reason, *self.remarks])

    @property
    def needed(self) -> float:
        return max(self.margin, self.result.spread)

    def tags(self) -> dict[str, str]:
        """The reason, as `gate`, is the last: where it is, all are."""
        numbers = {"margin": self.margin, "spread": self.result.spread, "needed": self.needed}
        if self.result.improvement is not None:
            numbers["improvement"] = self.result.improvement
        compared = self.champion or Scores({}, {})
        return {
            "parent_version": self.parent or "none",
            "gate.metric": self.metric,
            **{f"gate.{name}": repr(value) for name, value in numbers.items()},
            "gate.champion": json.dumps({"metrics": dict(compared.metrics), "std": dict(compared.std)}),
            "gate": self.reason,
        }

    def markdown(self, most: int = DESCRIPTION_LENGTH) -> str:
        """The reason, the figures that it rests on, and a row for each metric as far as `most` characters hold them."""
        direction = direction_of(self.metric)
        lines = [f"**{self.alias or 'no alias'}**: {self.result.reason}.", ""]
        figures = f"Decided by `{self.metric}` ({direction} is better)"
        if self.result.improvement is not None:
            figures += (
                f": improvement {self.result.improvement:.4g}, needed more than {self.needed:.4g}, the larger of the "
                f"margin {self.margin:.4g} and the spread over sampling seeds {self.result.spread:.4g}"
            )
        lines += [f"{figures}.", *(f"\n{remark[:1].upper()}{remark[1:]}." for remark in self.remarks), ""]
        of_champion = f"champion (version {self.parent})" if self.parent else "champion"
        columns = ["metric", "this version", "±", of_champion, "±", "real-data floor"]
        columns += ["baseline"] if self.candidate.baseline else []
        lines += [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
        others = [name for name in self.candidate.metrics if name != self.metric]
        for name in [self.metric, *others]:
            lines.append(self._row(name))
            if len("\n".join(lines)) > most:
                lines.pop()
                break
        return "\n".join(lines)[:most]

    def _is_comparable(self, name: str) -> bool:
        """Whether both were computed under the same definition."""
        key = definition_of(name)
        return self.champion is None or self.candidate.basis.get(key) == self.champion.basis.get(key)

    def _row(self, name: str) -> str:
        champion = self.champion or Scores({}, {})
        parts = (
            *(self.candidate.metrics, self.candidate.std),
            *((champion.metrics, champion.std) if self._is_comparable(name) else ({}, {})),
            self.candidate.floor,
            *([self.candidate.baseline] if self.candidate.baseline else []),
        )
        return f"| {name} | " + " | ".join(f"{part[name]:.4g}" if name in part else "" for part in parts) + " |"
