"""Metrics: their names, which way is better, what they mean and need; a kind of record, free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from genlib.choices.discovery import records_of_kind
from genlib.choices.record import Record

if TYPE_CHECKING:
    from genlib.config.extractors import ExtractorConfig
    from genlib.config.run import RunConfig
    from genlib.evaluation.estimates import Findings

# Images of the sampler alone; test images under the model; test images encoded and decoded; samples for conditions that
# are images, beside the test images that these are taken of; images drawn for captions.
Over = Literal["samples", "test images", "reconstructions", "pairs", "captions"]
# The reason why a run does not give a metric, with the remedy; None where it does.
Need = Callable[["Metric", "RunConfig"], str | None]

IMPORTANCE_SAMPLES, NEIGHBOURS, PIXELS = "number of importance samples", "number of neighbours", "kind of likelihood"


@dataclass(frozen=True, eq=False)
class Metric(Record):
    """A number that is measured of a model; one of a file's variables, beside the function that computes it.

    `compute` takes a SampleSet (over samples), a HeldOutModel (over test images and reconstructions), a PairSet or a
    CaptionSet, all of `genlib.evaluation.scoring`, and returns Findings with this metric, and any others that share the
    function; nothing where the metric does not apply.
    """

    folder: ClassVar[str] = "genlib.evaluation.metrics"
    noun: ClassVar[str] = "metric"

    name: str
    better: Literal["lower", "higher"] | None  # None: it is reported, and no model can be gated on it
    meaning: str  # its line in the report
    compute: Callable[[Any], Findings]
    over: Over = "samples"
    needs: tuple[Need, ...] = ()
    needs_classes: bool = False  # of images: a classifier, and so labels of two classes or more
    extractor: str | None = None  # the one whose features it is over; None: the one that is asked for
    during_training: bool = False  # whether it is cheap enough for evaluations during training
    depends_on: tuple[str, ...] = ()  # settings that two values must share to be comparable, beside those of `over`
    samples_per_dimension: int = 0  # samples that it needs for each dimension of the features
    has_baseline: bool = True  # over samples: whether the baseline, which takes no labels, has a value of it
    definition: int = 1  # another number after each change: values under different definitions are never compared
    compared: bool = False  # whether `compare` has a column for it
    place: int = 1000  # its place in tables, the lowest first

    @property
    def is_of_samples(self) -> bool:
        """Whether it is measured of a sampler alone, drawn with several seeds."""
        return self.over in ("samples", "pairs", "captions")

    @property
    def is_of_baseline(self) -> bool:
        """Whether samples of the baseline, which have neither labels nor contexts, have a value of it."""
        return self.over == "samples" and self.has_baseline

    @property
    def is_held_out(self) -> bool:
        """Whether it is computed on images that the model does not learn from."""
        return self.over != "samples"

    def is_cheap(self, features: ExtractorConfig) -> bool:
        """Whether evaluations during training that compare by these features measure it without being thorough."""
        if self.over in ("test images", "reconstructions"):  # the one that is wanted is measured with the cheap ones
            return True
        counts_classes = self.needs_classes and self.extractor is None and not features.takes_points
        return self.during_training and self.extractor in (None, features.name) and not counts_classes

    def problem(self, run: RunConfig) -> str | None:
        """The reason why a run does not give this metric, with the remedy; None where it does."""
        return next(filter(None, (need(self, run) for need in self.needs)), None)


@cache
def metrics() -> dict[str, Metric]:
    """All metrics by their names, in the order of tables."""
    found = records_of_kind(Metric)
    return {metric.name: metric for metric in sorted(found.values(), key=lambda metric: metric.place)}


def gate_metrics() -> dict[str, Metric]:
    """The metrics that a model can be gated on."""
    return {name: metric for name, metric in metrics().items() if metric.better}


def direction_of(name: str) -> Literal["lower", "higher"] | None:
    """The better direction; None where that is not known."""
    metric = metrics().get(name)
    return metric.better if metric else None


def definition_of(name: str) -> int:
    """The number of the metric's present definition."""
    return metrics()[name].definition if name in metrics() else 1


def computations(
    over: Iterable[Over], during_training: bool, wanted: Metric | None = None
) -> list[Callable[[Any], Findings]]:
    """The functions that compute the metrics over these, each once; with `during_training` the cheap ones and that of
    the metric that is `wanted`.
    """
    chosen = [metric for metric in metrics().values() if metric.over in over]
    due = [metric for metric in chosen if not during_training or metric.during_training or metric is wanted]
    return list(dict.fromkeys(metric.compute for metric in due))


def of_points(metric: Metric, run: RunConfig) -> str | None:
    """Points in the plane."""
    if run.data.is_points:
        return None
    return (
        f"registry.metric ({metric.name}) is not measured on data.source {run.data.source}; use "
        f"{run.evaluation.features.frechet}."
    )


def with_an_encoder(metric: Metric, run: RunConfig) -> str | None:
    """A method with an encoder and a decoder, on images."""
    if run.method.has_encoder and not run.data.is_points:
        return None
    return f"registry.metric ({metric.name}) is of images that an encoder and a decoder bring back; use another."


def with_a_likelihood(metric: Metric, run: RunConfig) -> str | None:
    """A method with an encoder and a likelihood."""
    if run.method.has_likelihood:
        return None
    return (
        f"registry.metric ({metric.name}) needs an encoder and a likelihood, which a {run.method.name} has not; use "
        "another."
    )
