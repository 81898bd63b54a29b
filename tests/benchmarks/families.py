"""The families that are timed, and genlib's own loop over them."""

from __future__ import annotations

import tempfile
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from genlib.config.run import RunConfig
from genlib.runs.folder import RunFolder
from genlib.runtime.signals import StopRequest
from genlib.training.train import make_accelerator
from genlib.training.trainer import Trainer

GREY, COLOUR = {"image_size": 28, "channels": 1}, {"image_size": 32, "channels": 3}
NO_MOMENTUM = {"learning_rate": 0.0002, "beta1": 0.0, "beta2": 0.9}
OPTIMIZERS = {"generator_optimizer": NO_MOMENTUM, "discriminator_optimizer": NO_MOMENTUM}
# Two cores: narrower than the papers'.
RESNET = {"name": "gan", "network": {"name": "resnet", "width": 32, "discriminator_width": 32}, "latent_size": 128}
RESNET |= OPTIMIZERS

FAMILIES: dict[str, dict[str, Any]] = {
    "MLP VAE, 28x28, batch 128": {
        "data": GREY,
        "method": {"name": "vae", "network": {"name": "mlp", "hidden_sizes": [512]}, "latent_size": 16},
        "training": {"batch_size": 128},
    },
    "convolutional VAE, 32x32, batch 128": {
        "data": COLOUR,
        "method": {"name": "vae", "network": {"name": "dcgan", "width": 32}, "latent_size": 64},
        "training": {"batch_size": 128},
    },
    "DCGAN, 32x32, batch 64": {
        "data": COLOUR,
        "method": {"name": "gan", "network": {"name": "dcgan", "width": 64}, "latent_size": 100},
        "training": {"batch_size": 64},
    },
    "SNGAN, ResNet of width 32, 32x32, batch 64": {
        "data": COLOUR,
        "method": RESNET | {"loss": "hinge", "spectral_norm": True},
        "training": {"batch_size": 64},
    },
    "WGAN-GP, ResNet of width 32, k = 2, 32x32, batch 64": {
        "data": COLOUR,
        "method": RESNET | {"loss": "wasserstein", "penalty": {"name": "gradient_penalty"}, "discriminator_steps": 2},
        "training": {"batch_size": 64},
    },
    "R3GAN of width 32, 32x32, batch 32": {
        "data": COLOUR,
        "method": {
            "name": "gan",
            "network": {"name": "r3gan", "width": 32, "blocks": 1},
            "latent_size": 64,
            "loss": "relativistic",
            "penalty": {"name": "r1_r2", "weight": 0.05},
            **OPTIMIZERS,
        },
        "training": {"batch_size": 32},
    },
}


def config_of(family: str, **training: Any) -> RunConfig:
    """Without sample grids and checkpoints, which are not the loop's."""
    raw = FAMILIES[family]
    never = {"steps": 10**9, "sample_every": 10**9, "checkpoint_every": 10**9, "device": "cpu"}
    return RunConfig.model_validate(
        raw | {"training": raw["training"] | never | training, "registry": {"model": "bench"}}
    )


@cache
def synthetic_images(size: int, channels: int, count: int = 20_000) -> np.ndarray:
    """The 8x8 digits enlarged with smooth edges, as MNIST's have, so that decoding costs what it usually does; uint8
    (count, channels, size, size).
    """
    digits = [Image.fromarray((image * (255 / 16)).astype(np.uint8)) for image in load_digits().images]
    enlarged = np.stack([np.asarray(digit.resize((size, size), Image.Resampling.BICUBIC)) for digit in digits])
    return np.repeat(enlarged[np.arange(count) % len(digits), None], channels, axis=1)


def images_of(family: str) -> np.ndarray:
    data = FAMILIES[family]["data"]
    return synthetic_images(data["image_size"], data["channels"])


class Genlib:
    """The training loop as genlib train runs it, some steps at a time."""

    def __init__(self, config: RunConfig, images: np.ndarray) -> None:
        dataset: Any = SimpleNamespace(
            manifest=SimpleNamespace(
                shape=images.shape[1:], content_hash="", label_names=None, counts={"train": len(images)}
            ),
            images=lambda split: images,
            labels=lambda split: None,
            label_shares=lambda: None,
            is_points=False,
            scene_names=None,
        )
        self._folder = tempfile.TemporaryDirectory()
        accelerator = make_accelerator(config)
        self.trainer = Trainer(config, RunFolder(self._folder.name), dataset, accelerator)
        self.trainer._save = lambda: None  # type: ignore[method-assign]
        self.trainer.exporter.show = lambda step: None  # type: ignore[method-assign]

    def __call__(self, steps: int) -> None:
        until = {"steps": self.trainer.progress.step + steps}
        training = self.trainer.config.training.model_copy(update=until)
        self.trainer.config = self.trainer.config.model_copy(update={"training": training})
        with StopRequest(timeout=60) as stop, redirect_stdout(StringIO()):  # its lines on the way
            self.trainer.train(stop)


def genlib_loop(family: str, **training: Any) -> Genlib:
    """In a process of its own."""
    torch.set_flush_denormal(True)  # as genlib train does
    return Genlib(config_of(family, **training), images_of(family))
