"""The loops that a user would write or pick instead: same networks, batches and optimizer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from genlib.config.run import RunConfig
from genlib.layers.base import DataSpec
from genlib.layers.spectral_norm import update_spectral_norms
from genlib.losses.gaussians import kl_to_standard_normal
from genlib.losses.likelihoods.gaussian.module import gaussian_negative_log_likelihood
from genlib.methods.vae.config import VAEConfig
from genlib.models.base import Batch, Method
from genlib.training.phases import build_optimizer
from tests.benchmarks.families import config_of, images_of

if TYPE_CHECKING:
    import datasets


def method_of(config: RunConfig) -> Method:
    return config.method.build(DataSpec((config.data.channels, *[config.data.image_size] * 2)))


class BareLoop:
    """Written by hand for this one model: float images in memory, a batch by index, and nothing that is not the model's
    computation. On a GPU, images and draws are there from the start.
    """

    def __init__(self, config: RunConfig, images: np.ndarray, device: str = "cpu") -> None:
        self.config, self.batch_size, self.device = config, config.training.batch_size, device
        self.images = torch.from_numpy(images).to(device).float().div(127.5).sub(1)
        self.order = torch.randperm(len(images), device=device)
        self.place = 0
        self.method: Any = method_of(config).to(device)
        self.optimizers = {
            phase.name: build_optimizer(phase.optimizer, list(phase.trains.parameters()))
            for phase in self.method.phases
        }
        self.settings: Any = config.method  # of a family, each with keys of its own
        self.turn = self.vae if config.method.name == "vae" else self.gan

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            self.turn()

    def batch(self) -> Tensor:
        if self.place + self.batch_size > len(self.order):
            self.place = 0
        self.place += self.batch_size
        return self.images[self.order[self.place - self.batch_size : self.place]]

    def noise(self) -> Tensor:
        return torch.randn(self.batch_size, self.method.model.sampler.latent_size, device=self.device)

    def update(self, phase: str, loss: Tensor) -> None:
        self.optimizers[phase].zero_grad()
        loss.backward()
        self.optimizers[phase].step()

    def vae(self) -> None:
        images, model = self.batch(), self.method.model
        mean, log_variance = model.encoder(images).chunk(2, dim=1)
        latents = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        decoded = torch.tanh(model.sampler.network(latents))
        likelihood = gaussian_negative_log_likelihood(images, decoded, self.settings.sigma)
        self.update("vae", (likelihood + kl_to_standard_normal(mean, log_variance)).mean())

    def gan(self) -> None:
        config, generator, discriminator = self.settings, self.method.model.sampler, self.method.discriminator
        adversarial = config.loss
        for _ in range(config.discriminator_steps):
            reals = self.batch()
            with torch.no_grad():
                fakes = generator(self.noise())
            loss = adversarial.discriminator(discriminator(reals), discriminator(fakes)).mean()
            if config.penalty.strength:
                loss = loss + config.penalty.strength * penalty(config.penalty.name, discriminator, reals, fakes)
            self.update("discriminator", loss)
            update_spectral_norms(discriminator)
        discriminator.requires_grad_(False)
        scores = discriminator(generator(self.noise()))
        real = discriminator(reals) if adversarial.compares else None
        self.update("generator", adversarial.generator(scores, real).mean())
        discriminator.requires_grad_(True)


def penalty(name: str, critic: Any, reals: Tensor, fakes: Tensor) -> Tensor:
    """As papers' code has them, by torch.autograd.grad."""

    def squares(images: Tensor) -> Tensor:
        images = images.detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
        return slope.flatten(1).square().sum(1)

    if name == "gradient_penalty":
        mix = torch.rand(len(reals), 1, 1, 1, device=reals.device)
        return (squares(torch.lerp(reals, fakes, mix)).sqrt() - 1).square().mean()
    return 0.5 * (squares(reals) + squares(fakes)).mean()


def encode_png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[0]).save(buffer, format="PNG")
    return buffer.getvalue()


def png_dataset(images: np.ndarray) -> datasets.Dataset:
    """Images as Hugging Face users hold them: PNG files that Pillow decodes at each access."""
    import datasets

    files = [{"bytes": encode_png(image), "path": None} for image in images]
    return datasets.Dataset.from_dict({"image": files}, features=datasets.Features({"image": datasets.Image()}))


def to_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    pixels = [np.asarray(image, dtype=np.float32)[None] for image in batch["image"]]
    return {"image": [torch.from_numpy(image).div(127.5).sub(1) for image in pixels]}


def endless(loader: DataLoader) -> Iterator[Any]:
    while True:
        yield from loader


class LoaderLoop:
    """The conventional loop over a DataLoader of PIL images: plain Adam, the loss read at every step."""

    def __init__(self, config: RunConfig, dataset: datasets.Dataset, workers: int) -> None:
        self.method = method_of(config)
        self.optimizer = torch.optim.Adam(self.method.parameters())
        self.batches = endless(
            DataLoader(
                dataset,
                config.training.batch_size,
                shuffle=True,
                num_workers=workers,
                persistent_workers=workers > 0,
                drop_last=True,
            )
        )

    def __call__(self, steps: int) -> None:
        for _, batch in zip(range(steps), self.batches):  # noqa: B905 - the second never ends
            self.optimizer.zero_grad()
            loss = self.method.loss("vae", Batch(batch["image"], None))["total"]
            loss.backward()
            self.optimizer.step()
            loss.item()


class AccelerateLoop:
    """As Accelerate's examples have it: everything prepared, a DataLoader over tensors, the loss summed up."""

    def __init__(self, config: RunConfig, images: np.ndarray) -> None:
        accelerator = Accelerator(cpu=True)
        tensors = TensorDataset(torch.from_numpy(images).float().div(127.5).sub(1))
        loader = DataLoader(tensors, config.training.batch_size, shuffle=True, drop_last=True)
        method, settings = method_of(config), cast(VAEConfig, config.method)
        optimizer = build_optimizer(settings.optimizer, list(method.parameters()))
        self.accelerator, self.method = accelerator, method
        self.optimizer, loader = accelerator.prepare(optimizer, loader)
        self.batches = endless(loader)
        self.total = torch.zeros(())

    def __call__(self, steps: int) -> None:
        for _, (images,) in zip(range(steps), self.batches):  # noqa: B905 - the second never ends
            loss = self.method.loss("vae", Batch(images, None))["total"]
            self.total += loss.detach().float()
            self.accelerator.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()


# Each in a process of its own.


def bare_loop(family: str, flush: bool = False, device: str = "cpu") -> BareLoop:
    """With torch's default, or with denormal numbers flushed to zero as genlib has them."""
    torch.set_flush_denormal(flush)
    return BareLoop(config_of(family), images_of(family), device)


def loader_loop(family: str, files: str, workers: int) -> LoaderLoop:
    import datasets

    return LoaderLoop(config_of(family), datasets.load_from_disk(files).with_transform(to_tensors), workers)


def accelerate_loop(family: str) -> AccelerateLoop:
    return AccelerateLoop(config_of(family), images_of(family))
