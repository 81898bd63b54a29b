"""Importance-weighted autoencoder (Burda et al. 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import rule
from genlib.choices.section import MOST_DRAWS
from genlib.methods import ConditionalMethod
from genlib.models.settings import VariationalSection

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler


class IWAEConfig(VariationalSection, ConditionalMethod):
    """Importance-weighted autoencoder (Burda et al. 2015)."""

    takes_condition_image: ClassVar[bool] = True

    name: Literal["iwae"] = "iwae"
    importance_samples: int = Field(5, ge=1, le=MOST_DRAWS, description="k of the bound")
    gradient: Literal["reparameterized", "doubly_reparameterized"] = Field(
        "reparameterized", description="The second (Tucker et al. 2019) does not fade as k grows"
    )

    def build(self, data: DataSpec) -> Method:
        from genlib.models.importance_weighted import ImportanceWeighted

        doubly = self.gradient == "doubly_reparameterized"
        model = self.variational_model(data, self.given_of(data))
        return ImportanceWeighted(model, self.importance_samples, self.optimizer, doubly, self.name)

    def build_sampler(self, data: DataSpec) -> Sampler:
        return self.decoding_sampler(data, self.given_of(data), self.output_of(data))

    @rule
    def learned_priors_take_one_gradient(self, run: RunConfig, key: str) -> str | None:
        """With a condition that is an image, whose prior p(z | c) is learned, gradient is reparameterized."""
        if not run.condition.is_image or self.gradient == "reparameterized":
            return None
        return (
            f"{key}.gradient ({self.gradient}) is for a prior that is not learned, and with condition "
            f"{run.condition.name} it is; use reparameterized."
        )
