"""Training images per second, against the loops that a user would write instead: same networks, batches, optimizer."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from genlib.config import RunConfig
from genlib.losses.adversarial import load_loss
from genlib.methods import Batch, build_method
from genlib.networks.base import DataSpec
from genlib.training.phases import build_optimizer
from genlib.training.run_folder import RunFolder
from genlib.training.signals import StopRequest
from genlib.training.trainer import Trainer

CASES: dict[str, dict[str, Any]] = {
    "VAE MLP 28x28, batch 128": {
        "data": {"image_size": 28, "channels": 1},
        "method": {"name": "vae", "network": {"name": "mlp", "hidden_sizes": [512]}, "latent_size": 16},
        "training": {"batch_size": 128, "steps": 300},
    },
    "DCGAN 32x32, batch 64": {
        "data": {"image_size": 32, "channels": 3},
        "method": {"name": "gan", "network": {"name": "dcgan", "width": 64}, "latent_size": 100},
        "training": {"batch_size": 64, "steps": 20},
    },
}


def case_config(name: str, ema_half_life: float) -> RunConfig:
    case = CASES[name]
    never = {"log_every": 100, "sample_every": 10**9, "checkpoint_every": 10**9, "ema_half_life": ema_half_life}
    return RunConfig.model_validate(case | {"training": case["training"] | never, "registry": {"model": "bench"}})


def synthetic_images(config: RunConfig, count: int = 20_000) -> np.ndarray:
    """The 8x8 digits enlarged with smooth edges, as MNIST's have, so that decoding costs what it usually does."""
    size = (config.data.image_size, config.data.image_size)
    digits = [Image.fromarray((image * (255 / 16)).astype(np.uint8)) for image in load_digits().images]
    enlarged = np.stack([np.asarray(digit.resize(size, Image.Resampling.BICUBIC)) for digit in digits])
    return np.repeat(enlarged[np.arange(count) % len(digits), None], config.data.channels, axis=1)


def genlib_rate(config: RunConfig, images: np.ndarray) -> float:
    """The training loop as genlib train runs it, without the sample grids and checkpoints."""
    dataset: Any = SimpleNamespace(
        manifest=SimpleNamespace(
            shape=images.shape[1:], content_hash="", label_names=None, counts={"train": len(images)}
        ),
        images=lambda split: images,
        labels=lambda split: None,
        label_shares=lambda: None,
        is_points=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(folder)
        trainer = Trainer(config, run, dataset, Accelerator(cpu=True))
        trainer._save = lambda: None  # type: ignore[method-assign]
        trainer.exporter.show = lambda step: None  # type: ignore[method-assign]
        with StopRequest(timeout=60) as stop:
            trainer._step(0)  # the first step pays for memory
            began = time.perf_counter()
            trainer.train(stop)
            return trainer.progress.images / (time.perf_counter() - began)


def bare_step(config: RunConfig) -> Callable[[torch.Tensor], None]:
    """One training step written by hand for float images in [-1, 1]."""
    method = build_method(config.method, DataSpec((config.data.channels, *[config.data.image_size] * 2)))
    adversarial = load_loss("non_saturating")
    optimizers = {p.name: build_optimizer(p.optimizer, list(p.trains.parameters())) for p in method.phases}

    def vae(images: torch.Tensor) -> None:
        optimizers["vae"].zero_grad()
        method.loss("vae", Batch(images, None))["total"].backward()
        optimizers["vae"].step()

    def gan(images: torch.Tensor) -> None:
        generator, discriminator = method.model.sampler, method.discriminator
        latents = torch.randn(len(images), generator.latent_size)
        with torch.no_grad():
            fakes = generator(latents)
        optimizers["discriminator"].zero_grad()
        loss = adversarial.discriminator(discriminator(images), discriminator(fakes)).mean()
        loss.backward()
        optimizers["discriminator"].step()
        optimizers["generator"].zero_grad()
        discriminator.requires_grad_(False)
        latents = torch.randn(len(images), generator.latent_size)
        adversarial.generator(discriminator(generator(latents)), None).mean().backward()
        discriminator.requires_grad_(True)
        optimizers["generator"].step()

    return vae if config.method.name == "vae" else gan


def bare_rate(config: RunConfig, images: np.ndarray) -> float:
    """The hand-written loop over preloaded float tensors, a random batch by index."""
    step, batch_size = bare_step(config), config.training.batch_size
    preloaded = torch.from_numpy(images).float().div(127.5).sub(1)
    order = torch.randperm(len(preloaded))
    step(preloaded[order[:batch_size]])
    began = time.perf_counter()
    for turn in range(config.training.steps):
        start = turn * batch_size % (len(order) - batch_size)
        step(preloaded[order[start : start + batch_size]])
    return config.training.steps * batch_size / (time.perf_counter() - began)


def encode_png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[0]).save(buffer, format="PNG")
    return buffer.getvalue()


def png_dataset(images: np.ndarray) -> datasets.Dataset:
    """Images as Hugging Face users hold them: PNG files that Pillow decodes at each access."""
    files = [{"bytes": encode_png(image), "path": None} for image in images]
    rows = datasets.Dataset.from_dict({"image": files}, features=datasets.Features({"image": datasets.Image()}))

    def to_tensors(batch: dict[str, Any]) -> dict[str, Any]:
        pixels = [np.asarray(image, dtype=np.float32)[None] for image in batch["image"]]
        return {"image": [torch.from_numpy(image).div(127.5).sub(1) for image in pixels]}

    return rows.with_transform(to_tensors)


def loader_rate(config: RunConfig, dataset: datasets.Dataset, workers: int) -> float:
    """The conventional loop: a DataLoader over PIL images, plain Adam, the loss read at every step."""
    method = build_method(config.method, DataSpec((1, config.data.image_size, config.data.image_size)))
    optimizer, seen = torch.optim.Adam(method.parameters()), 0
    batches = iter(DataLoader(dataset, config.training.batch_size, shuffle=True, num_workers=workers))
    next(batches)
    began = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad()
        loss = method.loss("vae", Batch(batch["image"], None))["total"]
        loss.backward()
        optimizer.step()
        loss.item()
        seen += len(batch["image"])
    return seen / (time.perf_counter() - began)


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Alternating runs; each row is the median ratio of genlib to another loop, with its smallest and largest."""
    rows = []
    for name in CASES:
        plain, averaged = case_config(name, ema_half_life=0), case_config(name, ema_half_life=10_000)
        images = synthetic_images(plain)
        loops: dict[str, Callable[[], float]] = {
            "genlib": partial(genlib_rate, plain, images),
            "genlib with EMA": partial(genlib_rate, averaged, images),
            "bare loop": partial(bare_rate, plain, images),
        }
        if "VAE" in name:
            files = png_dataset(images[:6000])
            loops["DataLoader over PIL images"] = partial(loader_rate, plain, files, workers=0)
            loops["the same with 2 workers"] = partial(loader_rate, plain, files, workers=2)
        rates: dict[str, list[float]] = {loop: [] for loop in loops}
        for _ in range(rounds):
            for loop, rate in loops.items():
                rates[loop].append(rate())
        for ours, theirs in (("genlib", "bare loop"), ("genlib with EMA", "bare loop")):
            rows.append(row(f"{name}: {ours} / {theirs}", rates[ours], rates[theirs], 0.95))
        for loop in list(loops)[3:]:
            rows.append(row(f"{name}: genlib / {loop}", rates["genlib with EMA"], rates[loop], 3.0))
    return rows


def row(what: str, ours: list[float], theirs: list[float], wanted: float) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "what": what,
        "ratio": round(statistics.median(ratios), 3),
        "range": [round(min(ratios), 3), round(max(ratios), 3)],
        "wanted": f">= {wanted}",
        "images_per_second": [round(statistics.median(ours)), round(statistics.median(theirs))],
    }
