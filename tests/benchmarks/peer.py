"""pythae's trainer on its own VAE, and genlib's loop on the same modules, tensors, batch size and optimizer.

Not installed beside genlib, whose environment it would change: `--no-deps` into a folder of its own.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from genlib.models.base import Batch, GenerativeModel, Losses, Method, Phase
from genlib.models.optimizer import OptimizerConfig
from tests.benchmarks.alternate import Loop
from tests.benchmarks.families import Genlib, config_of, images_of

PEER = ["pythae==0.1.2", "imageio>=2.30"]
FAMILY, BATCH = "MLP VAE, 28x28, batch 128", 128


def install(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PEER], check=True
    )


class PeersModel(Method):
    """pythae's model with its own loss, trained by genlib's loop."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        model.condition = None  # the trainer asks every sampler
        self.model = GenerativeModel(model)
        self.phases = (Phase("vae", self.model, OptimizerConfig()),)

    def loss(self, phase: str, batch: Batch) -> Losses:
        # It wants pixels in [0, 1].
        found = self.model.sampler({"data": batch.images.add(1).mul_(0.5)})
        return {"total": found.loss, "reconstruction": found.recon_loss, "kl": found.reg_loss}


def peers_vae(folder: str) -> Any:
    sys.path.append(folder)
    from pythae.models import VAE, VAEConfig

    return VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="bce"))


# Each in a process of its own.


def genlib_loop(folder: str, **training: Any) -> Genlib:
    torch.set_flush_denormal(True)  # as genlib train does
    with mock.patch("genlib.methods.vae.config.VAEConfig.build", lambda *_: PeersModel(peers_vae(folder))):
        return Genlib(config_of(FAMILY, **training), images_of(FAMILY))


def pythae_loop(folder: str, fused: bool = False) -> Loop:
    """Its trainer, with genlib's optimizer or with the one that it has by default; it was installed into `folder`."""
    model = peers_vae(folder)
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    tensors = torch.from_numpy(images_of(FAMILY)).float().div(255)
    ours = {"optimizer_cls": "AdamW", "optimizer_params": {"fused": True, "weight_decay": 0.0}}
    settings = BaseTrainerConfig(
        output_dir=str(Path(folder) / "runs"),
        num_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-3,
        no_cuda=True,
        **(ours if fused else {}),
    )
    trainer = BaseTrainer(model, BaseDataset(tensors, torch.zeros(len(tensors))), None, settings)
    collate = trainer.train_loader.collate_fn
    trainer.prepare_training()

    def train(steps: int) -> None:
        while steps > 0:  # an epoch at most each time
            images = tensors[: steps * BATCH]
            part = BaseDataset(images, torch.zeros(len(images)))
            trainer.train_loader = torch.utils.data.DataLoader(part, BATCH, shuffle=True, collate_fn=collate)
            with redirect_stderr(StringIO()):  # its progress bar
                trainer.train_step(1)
            steps -= len(trainer.train_loader)

    return train
