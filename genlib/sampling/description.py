"""The description beside an exported sampler's weights."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from genlib.choices.choice import Chosen
from genlib.conditions import ConditionConfig
from genlib.conditions.none import NoCondition
from genlib.methods import MethodConfig

LARGEST_SIDE = 2**14  # pixels; more than any network here makes
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
# Exports of former versions hold the names of classes that data calls by numbers as numbers.
Name = Annotated[str, Field(coerce_numbers_to_str=True)]


class SamplerInfo(BaseModel, extra="allow"):
    """Where a sampler comes from; one that was made by hand need not know."""

    weights_sha256: str
    step: int | None = None
    images: int | None = None
    ema_half_life: float | None = None
    dataset_hash: str | None = None


class SamplerDescription(BaseModel):
    """Contents of config.json beside a sampler's weights."""

    method: Chosen[MethodConfig]
    condition: Chosen[ConditionConfig] = NoCondition()
    scene_names: list[Name] | None = None  # of the things that captions name
    image_shape: tuple[Literal[1, 3], Side, Side] | tuple[Literal[2]]  # images, or points in the plane
    label_names: list[Name] | None
    label_shares: list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] | None = None
    info: SamplerInfo

    @model_validator(mode="after")
    def shares_are_of_the_labels(self) -> Self:
        shares, names = self.label_shares, self.label_names
        if shares is not None and not math.isclose(sum(shares), 1, abs_tol=1e-3):
            raise ValueError(f"label_shares add up to {sum(shares):g}, not to 1")
        if shares is not None and names is not None and len(shares) != len(names):
            raise ValueError(f"{len(names)} label_names stand beside {len(shares)} label_shares")
        return self
