"""Signs of collapse in what is logged, as soon as they last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genlib.models.base import Symptom


class Sentinel:
    """`signs` has, for each value that lies below its limit, the first and the last step at which it was seen there."""

    def __init__(self, symptoms: Sequence[Symptom], lasting: int, signs: dict[str, list[int]]) -> None:
        self.symptoms, self.lasting, self.signs = symptoms, lasting, signs
        self._told: set[str] = set()

    def look(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Sentences about what these values have made a collapse since the last look."""
        for symptom in self.symptoms:
            value = values.get(symptom.value)
            if value is None:
                continue
            if value < symptom.below:
                self.signs[symptom.value] = [self.signs.get(symptom.value, [step])[0], step]
            else:
                self.signs.pop(symptom.value, None)
                self._told.discard(symptom.value)
        news = [symptom for symptom in self.standing() if symptom.value not in self._told]
        self._told |= {symptom.value for symptom in news}
        return [self.sentence(symptom) for symptom in news]

    def standing(self) -> list[Symptom]:
        """Those that have lasted."""
        lasting = {value for value, (first, latest) in self.signs.items() if latest - first >= self.lasting}
        return [symptom for symptom in self.symptoms if symptom.value in lasting]

    def sentence(self, symptom: Symptom) -> str:
        first, latest = self.signs[symptom.value]
        return f"{symptom.meaning} ({symptom.value} below {symptom.below:.3g} from step {first} to {latest})"
