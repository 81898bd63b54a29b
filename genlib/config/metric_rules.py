"""Whether the metric that decides is measured at all: None, or what is wrong, why, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import (
    DISTANCES,
    KERNEL_DISTANCES,
    LIKELIHOODS,
    METRICS,
    OF_CONDITIONS,
    OF_MIXTURES,
    OF_POINTS,
    RECONSTRUCTIONS,
)
from genlib.data.sources import source_of

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def metric_is_measured(config: RunConfig) -> str | None:
    """registry.metric must be one that the features, the method and the data give."""
    metric, features, method = config.registry.metric, config.evaluation.features, config.method
    measured = {DISTANCES[features], f"{DISTANCES[features]}_infinity", KERNEL_DISTANCES[features]}
    if features != "points":
        measured.add("fd_random")
    of_features = {name for name in METRICS if name.startswith(("fd_", "kd_", "fid", "kid"))} - {*OF_CONDITIONS}
    if metric in of_features - measured:
        return (
            f"registry.metric ({metric}) is not measured by evaluation.features '{features}'; "
            f"use {DISTANCES[features]}."
        )
    lacks_modes = not source_of(config.data.source).is_mixture
    if metric in OF_POINTS and (not config.data.is_points or (metric in OF_MIXTURES and lacks_modes)):
        return (
            f"registry.metric ({metric}) is not measured on data.source {config.data.source}; "
            f"use {'energy_distance' if config.data.is_points else DISTANCES[features]}."
        )
    if metric == "modes" and config.data.is_points and lacks_modes:
        return f"registry.metric (modes) needs modes, which {config.data.source} has not; use energy_distance."
    if metric in ("class_kl", "label_accuracy") and config.data.is_points:
        return f"registry.metric ({metric}) needs a classifier of images; use energy_distance for points."
    if metric in LIKELIHOODS and not method.has_likelihood:
        return (
            f"registry.metric ({metric}) needs an encoder and a likelihood, which a {method.name} has not; use another."
        )
    if metric in RECONSTRUCTIONS and (not method.has_encoder or config.data.is_points):
        return f"registry.metric ({metric}) is of images that an encoder and a decoder bring back; use another."
    if metric == "bits_per_dim" and (not method.has_pixel_density or config.data.is_points):
        return (
            "registry.metric (bits_per_dim) needs a density over pixels, which this method.likelihood "
            "is not; use log_likelihood."
        )
    if metric == "label_accuracy" and not method.takes_labels:
        return "registry.metric (label_accuracy) is of samples with a label; set method.conditioning."
    return None
