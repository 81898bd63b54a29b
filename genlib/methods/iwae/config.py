"""Settings of the importance-weighted autoencoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genlib.choices.section import (
    MOST_DRAWS,
)
from genlib.methods import MethodConfig
from genlib.models.settings import LikelihoodSection


class IWAEConfig(LikelihoodSection, MethodConfig):
    """Importance-weighted autoencoder (Burda et al. 2015)."""

    name: Literal["iwae"] = "iwae"
    importance_samples: int = Field(5, ge=1, le=MOST_DRAWS, description="k of the bound")
    gradient: Literal["reparameterized", "doubly_reparameterized"] = Field(
        "reparameterized", description="The second (Tucker et al. 2019) does not fade as k grows"
    )
