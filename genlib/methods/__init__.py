"""Families of generative models, a file or folder each: settings, and the method that they build."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from genlib.choices.choice import Choice, choices_below, rule
from genlib.choices.discovery import names_where
from genlib.networks import Network

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.layers.shapes import ConditionSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler


class MethodConfig(Choice):
    """A family: settings of a model and of the losses that train it."""

    folder: ClassVar[str] = "genlib.methods"
    noun: ClassVar[str] = "method"
    training_only: ClassVar[tuple[str, ...]] = ("build", "variational_model", "likelihood_of")
    has_encoder: ClassVar[bool] = False
    has_likelihood: ClassVar[bool] = False  # so that images have a bound on their log-likelihood
    is_adversarial: ClassVar[bool] = False
    takes_points: ClassVar[bool] = True  # points in the plane, which have no pixels
    takes_condition_image: ClassVar[bool] = False
    takes_captions: ClassVar[bool] = False

    @abstractmethod
    def build(self, data: DataSpec) -> Method:
        """The model and its losses, weights drawn from the global generator.

        ValueError for a condition that the family does not take, and for labels that the data has not.
        """

    @abstractmethod
    def build_sampler(self, data: DataSpec) -> Sampler:
        """The sampler of what `build` returns, by itself: for weights that are loaded. ValueError as for `build`."""

    @property
    def takes_labels(self) -> bool:
        """Whether the networks take labels."""
        return False

    @property
    def networks(self) -> dict[str, Network]:
        """The architectures by their dotted keys in this section."""
        return {key: choice for key, choice in choices_below(self) if isinstance(choice, Network)}

    @property
    def judging_network(self) -> Network | None:
        """The architecture of the discriminator."""
        return None

    @property
    def has_pixel_density(self) -> bool:
        """Whether the likelihood is a density or probability of grey or colour pixels, so that bits have a meaning."""
        return False

    @property
    def caveat(self) -> str | None:
        """A sentence that readers of an evaluation of its samples must know."""
        return None

    def without_power_iterations(self) -> Self:
        """The same without spectral norms, whose numbers torch's meta device has not."""
        return self

    def given_of(self, data: DataSpec) -> ConditionSpec:
        """The condition that the networks take beside their input.

        ValueError where the family does not take it, and for labels that the data has not.
        """
        from genlib.layers.shapes import ConditionSpec

        if self.takes_labels and not data.classes:
            raise ValueError("method.conditioning needs labels, which the data has not; set it to none.")
        is_image = data.condition is not None and data.condition.is_image
        if is_image and not self.takes_condition_image:
            families = names_where(MethodConfig, "takes_condition_image")
            raise ValueError(f"{self.name} takes no condition that is an image; use {families}.")
        if data.condition and not is_image and not self.takes_captions:
            raise ValueError(f"{self.name} takes no captions; use {names_where(MethodConfig, 'takes_captions')}.")
        return ConditionSpec(
            data.classes if self.takes_labels else 0, data.condition.shape if data.condition and is_image else None
        )


class ConditionalMethod(MethodConfig):
    """A family whose networks can take labels."""

    conditioning: Literal["none", "concat", "batch_norm"]

    @property
    def takes_labels(self) -> bool:
        return self.conditioning != "none"

    @rule
    def labels_need_a_place(self, run: RunConfig, key: str) -> str | None:
        """conditioning: batch_norm needs a generator with batch norm: dcgan's, resnet's, or mlp's with norm: batch."""
        network = self.networks.get("network")
        if self.conditioning != "batch_norm" or network is None or network.has_label_norms:
            return None
        with_norm = f"{key}.network.{network.label_norm_key}, or " if network.label_norm_key else ""
        return (
            f"{key}.conditioning is batch_norm, and the {network.name} network has none there; use {with_norm}"
            f"{key}.conditioning=concat."
        )
