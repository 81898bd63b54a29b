"""pythae's trainer on its own VAE, and genlib's loop on the same modules, tensors, batch size and optimizer.

Not installed beside genlib, whose environment it would change: `--no-deps` into a folder of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from genlib.config import OptimizerConfig
from genlib.methods.base import Batch, GenerativeModel, Losses, Method, Phase
from tests.benchmarks.families import Genlib, config_of

PEER = ["pythae==0.1.2", "imageio>=2.30"]
BATCH = 128
Loop = Callable[[int], None]


def install(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PEER], check=True
    )
    sys.path.append(str(folder))


class PeersModel(Method):
    """pythae's model with its own loss, trained by genlib's loop."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = GenerativeModel(model)
        self.phases = (Phase("vae", self.model, OptimizerConfig()),)

    def loss(self, phase: str, batch: Batch) -> Losses:
        # It wants pixels in [0, 1].
        found = self.model.sampler({"data": batch.images.add(1).mul_(0.5)})
        return {"total": found.loss, "reconstruction": found.recon_loss, "kl": found.reg_loss}


def loops(images: np.ndarray, folder: Path) -> dict[str, Loop]:
    """Both, and pythae's with the optimizer that it has by default; it is installed into `folder`."""
    install(folder)
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    def model() -> Any:
        return VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="bce"))

    def theirs(**optimizer: Any) -> Loop:
        def train(steps: int) -> None:
            trainer.train_loader = chosen(steps)
            with redirect_stderr(StringIO()):  # its progress bar
                trainer.train_step(1)

        def chosen(steps: int) -> Any:
            part = BaseDataset(tensors[: steps * BATCH], torch.zeros(steps * BATCH))
            return torch.utils.data.DataLoader(part, BATCH, shuffle=True, collate_fn=collate)

        settings = BaseTrainerConfig(
            output_dir=str(folder / "runs"),
            num_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-3,
            no_cuda=True,
            **optimizer,
        )
        trainer = BaseTrainer(model(), BaseDataset(tensors, torch.zeros(len(tensors))), None, settings)
        collate = trainer.train_loader.collate_fn
        trainer.prepare_training()
        return train

    tensors = torch.from_numpy(images).float().div(255)
    fused = {"optimizer_cls": "AdamW", "optimizer_params": {"fused": True, "weight_decay": 0.0}}
    with mock.patch("genlib.training.trainer.build_method", lambda *_: PeersModel(model())):
        ours = Genlib(config_of("MLP VAE, 28x28, batch 128"), images)
    return {"genlib": ours, "pythae": theirs(**fused), "pythae with its default optimizer": theirs()}
