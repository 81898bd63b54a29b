"""The names of the metrics, and which way is better."""

from __future__ import annotations

from typing import Literal

# What the distances over each kind of features are called; only TF-Inception's are the FID and the KID.
DISTANCES = {
    "classifier": "fd_classifier",
    "random": "fd_random",
    "inception": "fid",
    "dinov2": "fd_dinov2",
    "points": "fd_points",
}
KERNEL_DISTANCES = {
    "classifier": "kd_classifier",
    "random": "kd_random",
    "inception": "kid",
    "dinov2": "kd_dinov2",
    "points": "kd_points",
}
LIKELIHOODS: dict[str, Literal["lower", "higher"]] = {
    "elbo": "higher",
    "log_likelihood": "higher",
    "bits_per_dim": "lower",
}
RECONSTRUCTIONS: dict[str, Literal["lower", "higher"]] = {"psnr": "higher", "ssim": "higher"}
# Of samples in the plane.
OF_POINTS: dict[str, Literal["lower", "higher"]] = {
    "energy_distance": "lower",
    "high_quality": "higher",
    "reverse_kl": "lower",
    "reverse_kl_high_quality": "lower",
}
OF_MIXTURES = ("high_quality", "reverse_kl", "reverse_kl_high_quality")  # only where the data is one of Gaussians
# Of samples for the condition of a held-out image, compared with that image.
OF_CONDITIONS: dict[str, Literal["lower", "higher"]] = {
    "condition_psnr": "higher",
    "condition_ssim": "higher",
    "condition_error": "lower",
    "condition_diversity": "higher",
    "fd_pairs": "lower",
}
# Of images drawn for captions, as a classifier reads them; the last of the captions themselves.
OF_CAPTIONS: dict[str, Literal["lower", "higher"]] = {
    "caption_classes": "higher",
    "caption_places": "higher",
    "caption_looks": "higher",
    "caption_perplexity": "lower",
}
# Those that are computed on images which a model does not learn from.
OF_HELD_OUT = LIKELIHOODS | RECONSTRUCTIONS | OF_CONDITIONS | OF_CAPTIONS
# How often the definition of a metric has changed, plus 1, where it has: values under different definitions are never
# compared, and the kept real-data floor is judged anew (evaluation/floor.py, VERSION).
DEFINITIONS = {
    "authpct": 2,  # equal training images count as one, a tie is a copy, and all training images are looked at
    "psnr": 2,  # the error counts as that of rounding at least
    "ssim": 2,  # windows inside the image alone
    "condition_ssim": 2,
    "reverse_kl": 2,  # every sample counts at its nearest mode
}
# Every metric that a model can be gated on, and which way is better.
METRICS: dict[str, Literal["lower", "higher"]] = {
    **dict.fromkeys((*DISTANCES.values(), *KERNEL_DISTANCES.values()), "lower"),
    **{f"{name}_infinity": "lower" for name in DISTANCES.values()},
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "authpct": "higher",
    "class_kl": "lower",
    "modes": "higher",
    "label_accuracy": "higher",
    **OF_POINTS,
    **OF_CONDITIONS,
    **OF_CAPTIONS,
    **LIKELIHOODS,
    **RECONSTRUCTIONS,
}
