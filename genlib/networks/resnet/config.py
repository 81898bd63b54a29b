"""Settings of the network resnet; free of torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genlib.choices.section import MOST_UNITS
from genlib.networks import Network


class ResNetConfig(Network):
    """SNGAN's residual networks; no normalization in the discriminator (Miyato et al. 2018, appendix B.4)."""

    name: Literal["resnet"] = "resnet"
    width: int = Field(256, ge=1, le=MOST_UNITS, description="Channels of the generator or decoder")
    discriminator_width: int = Field(128, ge=1, le=MOST_UNITS, description="Channels of the discriminator or encoder")
    pooling: Literal["sum", "mean"] = Field(
        "sum",
        description="Of the discriminator's or encoder's last map: the sum over its pixels as in SNGAN (Miyato et al. "
        "2018), or the mean as in WGAN-GP (Gulrajani et al. 2017)",
    )

    @property
    def has_label_norms(self) -> bool:
        return True
