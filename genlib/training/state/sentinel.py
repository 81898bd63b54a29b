"""Signs of collapse in what is logged, told as soon as they last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from genlib.models.base import Symptom


class Sentinel:
    """Watches for symptoms that have been there for `lasting` steps.

    `signs` has, for each value that lies below its limit, the first and the last step at which it was seen there.
    """

    keys: ClassVar[tuple[str, ...]] = ("signs",)

    def __init__(self, symptoms: Sequence[Symptom], lasting: int) -> None:
        self.symptoms, self.lasting = symptoms, lasting
        self.load_state_dict({})

    def look(self, step: int, values: Mapping[str, float]) -> list[str]:
        """A sentence for each symptom that has lasted long enough and was not told before."""
        for symptom in self.symptoms:
            value = values.get(symptom.value)
            if value is None:
                continue
            if value < symptom.below:
                self.signs[symptom.value] = [self.signs.get(symptom.value, [step])[0], step]
            else:
                self.signs.pop(symptom.value, None)
                self._told.discard(symptom.value)
        news = [symptom for symptom in self._standing() if symptom.value not in self._told]
        self._told |= {symptom.value for symptom in news}
        return [self._sentence(symptom) for symptom in news]

    def standing(self) -> list[str]:
        """A sentence for each symptom that has lasted and still does."""
        return [self._sentence(symptom) for symptom in self._standing()]

    def state_dict(self) -> dict[str, Any]:
        return {"signs": self.signs}

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        self.signs: dict[str, list[int]] = saved.get("signs", {})
        self._told: set[str] = set()

    def _standing(self) -> list[Symptom]:
        lasting = {value for value, (first, latest) in self.signs.items() if latest - first >= self.lasting}
        return [symptom for symptom in self.symptoms if symptom.value in lasting]

    def _sentence(self, symptom: Symptom) -> str:
        first, latest = self.signs[symptom.value]
        return f"{symptom.meaning} ({symptom.value} below {symptom.below:.3g} from step {first} to {latest})"
