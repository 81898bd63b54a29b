"""The rows of the part `quality`: what is trained, within which time, which metrics are shown, and what is wanted.

The rows are the configurations that are to be good: one training of each other one is in the part `configurations`. A
new row is a new entry of ROWS. `wanted` compares a metric of every seed with a number, with the real-data floor or
with the baseline, such as "authpct >= floor - 8".
"""

from __future__ import annotations

from typing import NamedTuple

IMAGES = ("fd_classifier", "precision", "coverage", "authpct")
COLOUR_IMAGES = ("fd_classifier", "fd_imagenet", "precision", "coverage", "authpct")
POINTS = ("modes", "high_quality")
STACKED = ("modes", "class_kl")
CODES = (*IMAGES, "perplexity_share")
CAPTIONS = ("caption_classes", "caption_places", "caption_looks", "caption_perplexity")

DIGITS = ("fd_classifier <= 1.2",)
BEST_DIGITS = ("fd_classifier <= 0.58", "precision >= 0.8", "coverage >= 0.95", "authpct >= floor - 8")
VAE_MNIST = ("fd_classifier <= 1.0", "coverage >= 0.8")
GAN_MNIST = ("fd_classifier <= 0.5", "coverage >= 0.85")
RING8 = ("modes >= 8", "high_quality >= 0.95")
GRID25 = ("modes >= 25", "high_quality >= 0.95")
HEARD = ("caption_classes >= 0.9", "caption_places >= 0.8", "caption_perplexity < baseline")


class Wanted(NamedTuple):
    """A row of the table."""

    configuration: str  # a shipped one
    overrides: tuple[str, ...] = ()  # section.key=value
    shown: tuple[str, ...] = IMAGES
    wanted: tuple[str, ...] = ()
    minutes: int = 20  # of training on two cores, at most
    name: str = ""  # on the command line, where it is not the configuration's

    @property
    def row(self) -> str:
        return self.name or self.configuration


# Half an hour of two cores: smaller networks and fewer steps than the shipped configurations have.
SMALL_DCGAN = ("method.network.width=32", "training.batch_size=64", "training.steps=15000")
SMALL_R3GAN = ("method.network.width=32", "training.batch_size=32", "training.steps=1500")

ROWS = (
    # An autoencoder that samples from N(0, I) shows why it is not generative: nothing is wanted of it.
    Wanted("autoencoder_digits"),
    Wanted("rae_digits", wanted=BEST_DIGITS),
    Wanted("vae_digits", wanted=DIGITS),
    Wanted("beta_vae_digits", wanted=DIGITS),
    Wanted("beta_tc_vae_digits", wanted=DIGITS),
    Wanted("sigma_vae_digits", wanted=DIGITS),
    Wanted("cvae_digits", wanted=DIGITS),
    Wanted("iwae_digits", wanted=DIGITS),
    Wanted("vq_vae_digits", shown=CODES, wanted=(*DIGITS, "perplexity_share > 0.5")),
    Wanted("vae_gan_digits", wanted=DIGITS),
    Wanted("dcgan_digits", wanted=DIGITS),
    Wanted("cgan_digits", wanted=BEST_DIGITS),
    Wanted("vae_mnist", wanted=VAE_MNIST),
    Wanted("vq_vae_mnist", shown=CODES, wanted=("fd_classifier < baseline", "perplexity_share > 0.5")),
    Wanted("cgan_mnist", wanted=GAN_MNIST),
    Wanted("cgan_cifar10", shown=COLOUR_IMAGES, minutes=30),
    Wanted("vae_gan_cifar10", shown=COLOUR_IMAGES, minutes=30),
    Wanted("r3gan_ring8", shown=POINTS, wanted=RING8),
    Wanted("r3gan_grid25", shown=POINTS, wanted=GRID25),
    Wanted("pacgan_ring8", shown=POINTS, wanted=RING8),
    Wanted("pacgan_grid25", shown=POINTS, wanted=GRID25),
    # The published figures: Lin et al. 2018, table 2, and Huang et al. 2024, section 4.1.
    Wanted(
        "pacgan_stacked_mnist",
        SMALL_DCGAN,
        STACKED,
        wanted=("modes >= 1000", "class_kl <= 0.06"),
        minutes=30,
    ),
    Wanted(
        "r3gan_stacked_mnist",
        SMALL_R3GAN,
        STACKED,
        wanted=("modes >= 1000", "class_kl <= 0.029"),
        minutes=30,
    ),
    Wanted("captions_digits", shown=CAPTIONS, wanted=HEARD),
)
