"""What lies beside an exported sampler's weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt

from genlib.config import ConditionConfig, MethodConfig, NoCondition


class SamplerInfo(BaseModel, extra="allow"):
    """Where a sampler comes from; one that was made by hand need not know."""

    weights_sha256: str
    step: int | None = None
    images: int | None = None
    ema_half_life: float | None = None
    dataset_hash: str | None = None


class SamplerDescription(BaseModel):
    """What config.json beside a sampler's weights says."""

    method: MethodConfig
    condition: ConditionConfig = NoCondition()
    scene_names: list[str] | None = None  # of what captions are of
    image_shape: tuple[Literal[1, 3], PositiveInt, PositiveInt] | tuple[Literal[2]]  # images, or points in the plane
    label_names: list[str] | None
    label_shares: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    info: SamplerInfo
