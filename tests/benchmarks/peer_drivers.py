"""Other projects' networks, losses and trainers, trained for some minutes on an array of images; then samples of them.

`python -m tests.benchmarks.peer_drivers NAME FOLDER ARRAY MINUTES COUNT OUTPUT SEED [--set key=value ...]`: FOLDER
holds the project, ARRAY is a .npy with uint8 (N, C, H, W). One .npy of COUNT samples, uint8 (COUNT, C, H, W), is
written into the folder OUTPUT for each way of drawing them, and a line of JSON is printed: `steps`, `images`,
`seconds`, `images_per_second`, `other_seconds`, above all those of sampling, and `samples`, the names of these files.

The projects are imported from where they lie, and nothing of theirs is copied. What a driver has of its own is the loop
around their training step, as far as theirs cannot be ended by the clock or needs packages that training does not, and
the batches, which come from the array and so cost less than those of their data loaders. Numbers near zero are flushed
to zero, as `genlib train` does.
"""

from __future__ import annotations

import json
import math
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
import yaml
from packaging.version import parse
from torch import Tensor, nn
from torch.optim import Adam

CHUNK = 250  # samples that are drawn at once


class Clock:
    """The time that a training has; it begins when the clock is made, or started anew."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.start()

    def start(self) -> None:
        self.began = time.monotonic()

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    @property
    def share(self) -> float:
        """The part of the time that has passed, at most 1."""
        return min(1.0, self.passed / self.seconds)

    @property
    def is_over(self) -> bool:
        return self.passed >= self.seconds


class Task(NamedTuple):
    """What a driver is given."""

    folder: Path  # of the project
    images: Tensor  # uint8 (N, C, H, W)
    clock: Clock
    settings: dict[str, Any]


class Trained(NamedTuple):
    """What a driver has made. A sampler gives so many images (count, C, H, W) with values in [low, 1]."""

    steps: int  # of the generator, or of the autoencoder
    images: int  # real ones that the discriminator, or the autoencoder, was trained on, repeated ones counted again
    seconds: float  # of training
    samplers: dict[str, Callable[[int], Tensor]]
    low: float = -1.0


def batches(images: Tensor, size: int, mirror: bool) -> Iterator[Tensor]:
    """Endless batches in [-1, 1], (size, C, H, W), in a new order at each epoch; mirrored at random where asked."""
    while True:
        for chosen in torch.randperm(len(images)).split(size):
            if len(chosen) == size:
                batch = images[chosen].float().div_(127.5).sub_(1)
                turned = torch.rand(size) < 0.5 if mirror else torch.zeros(size, dtype=torch.bool)
                yield torch.where(turned[:, None, None, None], batch.flip(3), batch)


def drawn_by(generator: nn.Module, latent_size: int, shape: torch.Size, *others: Any) -> Callable[[int], Tensor]:
    """A sampler: the generator in eval mode, on standard normal noise."""

    @torch.no_grad()
    def draw(count: int) -> Tensor:
        generator.eval()
        parts = [generator(torch.randn(len(part), latent_size), *others) for part in torch.arange(count).split(CHUNK)]
        return torch.cat(parts).reshape(count, *shape)

    return draw


def without_submodules(name: str, path: Path | None = None) -> None:
    """Put an empty package in place of one whose own __init__ imports what a training does not need."""
    package = ModuleType(name)
    package.__path__ = [str(path)] if path else []
    sys.modules[name] = package
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, package)


def stand_in(name: str, **attributes: Any) -> None:
    """Put a module with these attributes in place of one that cannot be imported."""
    try:
        import_module(name)
    except ImportError:
        parent, _, _ = name.rpartition(".")
        if parent:
            stand_in(parent)
        without_submodules(name)
        sys.modules[name].__dict__.update(attributes)


def gans_pytorch(task: Task) -> Trained:
    """xyfJASON/gans-pytorch: networks, loss and optimizers of one of its configurations, and its scripts/train.py's
    order of steps. `config` names the file; the other settings are overrides, as on its command line.
    """

    def made(entry: dict[str, Any], **more: Any) -> Any:
        module, _, name = entry["target"].rpartition(".")
        return getattr(import_module(module), name)(**entry["params"], **more)

    content = yaml.safe_load((task.folder / "configs" / task.settings["config"]).read_text())
    for key, value in task.settings.items():
        *sections, last = key.split(".")
        section = content
        for part in sections:
            section = section[part]
        if sections:
            section[last] = value
    train, latent_size = content["train"], content["G"]["params"]["z_dim"]
    generator, discriminator = made(content["G"]), made(content["D"])
    loss = made(train["loss_fn"], discriminator=discriminator)
    generator_optimizer = made(train["optim_G"], params=generator.parameters())
    discriminator_optimizer = made(train["optim_D"], params=discriminator.parameters())
    size, turns, step = train["batch_size"], train["d_iters"], 0
    reals = batches(task.images, size, mirror=content["data"]["name"] == "CIFAR-10")  # as its datasets/ does
    while not task.clock.is_over:
        for _ in range(turns):
            discriminator_optimizer.zero_grad()
            loss.forward_D(generator(torch.randn(size, latent_size)).detach(), next(reals)).backward()
            discriminator_optimizer.step()
        generator_optimizer.zero_grad()
        loss.forward_G(generator(torch.randn(size, latent_size))).backward()
        generator_optimizer.step()
        step += 1
    samplers = {"samples": drawn_by(generator, latent_size, task.images.shape[1:])}
    return Trained(step, step * turns * size, task.clock.passed, samplers)


def mimicry_sngan(task: Task) -> Trained:
    """kwotsin/mimicry: SNGAN for 32x32 pixels by its classes' train_step, with the settings of its README for CIFAR-10;
    its linear decay of the rate ends with the time, where theirs ends at step 100,000.
    """
    package = task.folder / "torch_mimicry"
    without_submodules("torch_mimicry", package)
    without_submodules("torch_mimicry.training", package / "training")  # its logger needs TensorBoard
    networks = import_module("torch_mimicry.nets.sngan.sngan_32")
    log, scheduling = (
        import_module("torch_mimicry.training.metric_log"),
        import_module("torch_mimicry.training.scheduler"),
    )
    size, turns, step = 64, 5, 0
    generator = networks.SNGANGenerator32(ngf=task.settings.get("ngf", 256))
    discriminator = networks.SNGANDiscriminator32(ndf=task.settings.get("ndf", 128))
    optimizers = {
        "optD": Adam(discriminator.parameters(), 2e-4, betas=(0.0, 0.9)),
        "optG": Adam(generator.parameters(), 2e-4, betas=(0.0, 0.9)),
    }
    scheduler = scheduling.LRScheduler(lr_decay="linear", num_steps=task.clock.seconds, **optimizers)
    reals, device = batches(task.images, size, mirror=False), torch.device("cpu")
    while not task.clock.is_over:
        told = log.MetricLog()
        for _ in range(turns):
            real = next(reals), None  # no labels
            discriminator.train_step(
                real_batch=real, netG=generator, optD=optimizers["optD"], log_data=told, device=device
            )
        generator.train_step(real_batch=real, netD=discriminator, optG=optimizers["optG"], log_data=told, device=device)
        step += 1
        scheduler.step(log_data=told, global_step=task.clock.passed)
    samplers = {"samples": drawn_by(generator, generator.nz, task.images.shape[1:])}
    return Trained(step, step * turns * size, task.clock.passed, samplers)


def r3gan_official(task: Task) -> Trained:
    """brownvc/R3GAN: its networks and AdversarialTraining; its operators have implementations for a CPU.

    The preset CIFAR10 of its train.py without classes: gamma, rate and beta2 fall or rise along the same cosine, over
    the time that there is in place of 20 million images. Its augmentation is left out, whose probability would rise
    from 0 along that cosine too. The average of the weights has a half-life of a twentieth of the images so far, where
    theirs rises to a quarter of those 20 million: that would hold too much of the beginning of a short training.
    `width` is that of the highest resolution, doubled at each lower one (theirs is 768 at all), and `blocks` theirs of
    a resolution (2).
    """
    # Modules that newer versions of Python and setuptools no longer have, and that nothing here calls in earnest.
    stand_in("pkg_resources", parse_version=parse)
    stand_in("distutils.util", strtobool=bool)
    networks, trainer = import_module("R3GAN.Networks"), import_module("R3GAN.Trainer")

    latent_size, size, step = 64, task.settings["batch"], 0
    widths = [task.settings["width"] * 2**stage for stage in (3, 2, 1, 0)]  # at 4, 8, 16 and 32 pixels a side
    groups, blocks = [width // 8 for width in widths], [task.settings["blocks"]] * 4
    generator = networks.Generator(latent_size, widths, groups, blocks, 2).requires_grad_(False)
    discriminator = networks.Discriminator(widths[::-1], groups[::-1], blocks, 2).requires_grad_(False)
    average = deepcopy(generator)
    training = trainer.AdversarialTraining(generator, discriminator)
    discriminator_optimizer = Adam(discriminator.parameters(), betas=(0.0, 0.9), eps=1e-8)
    generator_optimizer = Adam(generator.parameters(), betas=(0.0, 0.9), eps=1e-8)
    reals = batches(task.images, size, mirror=True)
    while not task.clock.is_over:
        past = (1 - math.cos(math.pi * task.clock.share)) / 2
        gamma, rate, beta2 = 0.05 - 0.045 * past, 2e-4 - 1.5e-4 * past, 0.9 + 0.09 * past
        for optimizer in (discriminator_optimizer, generator_optimizer):
            optimizer.param_groups[0].update(lr=rate, betas=(0.0, beta2))
            optimizer.zero_grad(set_to_none=True)
        discriminator.requires_grad_(True)
        training.AccumulateDiscriminatorGradients(torch.randn(size, latent_size), next(reals), None, gamma)
        discriminator.requires_grad_(False)
        discriminator_optimizer.step()
        generator.requires_grad_(True)
        training.AccumulateGeneratorGradients(torch.randn(size, latent_size), next(reals), None)
        generator.requires_grad_(False)
        generator_optimizer.step()
        step += 1
        share = 1 - 0.5 ** (20 / step)
        torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), share)
    samplers = {"samples": drawn_by(average, latent_size, task.images.shape[1:])}
    return Trained(step, step * size, task.clock.passed, samplers)


class TimeIsUp(Exception):
    """Ends pythae's trainer."""


def pythaes_trainer(clock: Clock) -> Any:
    """A class: pythae's BaseTrainer, with a count of `steps`. It starts the clock, and ends with it: its model is then
    the one at hand, and saved as it saves it.
    """
    trainers = import_module("pythae.trainers")
    callbacks = import_module("pythae.trainers.training_callbacks")

    class Timed(trainers.BaseTrainer):  # type: ignore[name-defined]
        steps = 0

        def __init__(self, model: Any, train_dataset: Any, eval_dataset: Any, training_config: Any) -> None:
            clock.start()
            super().__init__(model, train_dataset, eval_dataset, training_config, callbacks=[Until()])

        def train(self, log_output_dir: str | None = None) -> None:
            with redirect_stderr(StringIO()):  # its progress bars
                try:
                    super().train(log_output_dir)
                except TimeIsUp:
                    self.save_model(self.model, str(Path(self.training_dir) / "final_model"))

    class Until(callbacks.TrainingCallback):  # type: ignore[name-defined]
        def on_train_step_end(self, training_config: Any, **others: Any) -> None:
            Timed.steps += 1
            if clock.is_over:
                raise TimeIsUp

    return Timed


PYTHAE_BATCH = 100


def pythaes_settings(folder: str) -> Any:
    """Those of its examples' configs/{mnist,cifar10}/base_training_config.json, and no end but the clock's."""
    return import_module("pythae.trainers").BaseTrainerConfig(
        output_dir=folder,
        num_epochs=1_000_000,
        per_device_train_batch_size=PYTHAE_BATCH,
        learning_rate=1e-3,
        no_cuda=True,
    )


def pythaes_model(task: Task, clock: Clock, kind: str, networks: tuple[str, str] | None, **settings: Any) -> Any:
    """A model of pythae with these networks of its benchmarks, or with its default ones, and the trainer that trained
    it until the clock was over.
    """
    models = import_module("pythae.models")
    config = getattr(models, f"{kind}Config")(input_dim=tuple(task.images.shape[1:]), **settings)
    parts = {}
    if networks:
        name = "mnist" if task.images.shape[1] == 1 else "cifar"
        module = import_module(f"pythae.models.nn.benchmarks.{name}")
        made = (getattr(module, f"{network}_{name.upper()}")(config) for network in networks)
        parts = dict(zip(("encoder", "decoder"), made, strict=True))
    model = getattr(models, kind)(config, **parts)
    pixels = unit_pixels(task.images)
    dataset = import_module("pythae.data.datasets").BaseDataset(pixels, torch.zeros(len(pixels)))
    with TemporaryDirectory() as folder:
        trainer = pythaes_trainer(clock)(model, dataset, None, pythaes_settings(folder))
        trainer.train()
    trainer.model.eval()
    return trainer


def unit_pixels(images: Tensor) -> Tensor:
    """float32 in [0, 1]."""
    return images.float().div_(255)


def by_pythae(sampler: Any) -> Callable[[int], Tensor]:
    def draw(count: int) -> Tensor:
        with torch.no_grad():
            return sampler.sample(num_samples=count, batch_size=CHUNK, return_gen=True)

    return draw


def pythae_vae(task: Task) -> Trained:
    """pythae's VAE, with samples from N(0, I) and from its mixture of ten Gaussians, fitted after the training.

    `networks` are the `ResNet` or `Conv` of its benchmarks, or its `default`, perceptrons. `latent_dim` is 16 of MNIST
    and 256 of CIFAR-10 in its paper (Chadebec et al. 2022); the loss is `mse`, as in its examples'
    configs/mnist/vae_config.json.
    """
    kind = task.settings["networks"]
    networks = None if kind == "default" else (f"Encoder_{kind}_VAE", f"Decoder_{kind}_AE")
    settings = {"latent_dim": task.settings["latent_dim"], "reconstruction_loss": "mse"}
    trainer = pythaes_model(task, task.clock, "VAE", networks, **settings)
    seconds, samplers = task.clock.passed, import_module("pythae.samplers")
    mixture = samplers.GaussianMixtureSampler(trainer.model)

    def fitted(count: int) -> Tensor:
        mixture.fit(unit_pixels(task.images))
        return by_pythae(mixture)(count)

    drawn = {"NormalSampler": by_pythae(samplers.NormalSampler(trainer.model)), "GaussianMixtureSampler": fitted}
    return Trained(trainer.steps, trainer.steps * PYTHAE_BATCH, seconds, drawn, low=0.0)


def pythae_vqvae(task: Task) -> Trained:
    """pythae's VQ-VAE for half of the time, and for the rest its PixelCNNSampler, whose network is trained too; the
    time between, in which all images are encoded, is not counted.

    256 codes of size 16, as in its examples' configs/{mnist,cifar10}/vqvae_config.json, with `use_ema`, averages in
    place of gradients for the codes: with gradients the decoder is stuck at black on MNIST from the first steps on.
    """
    halves = Clock(task.clock.seconds / 2), Clock(task.clock.seconds / 2)
    networks = ("Encoder_ResNet_VQVAE", "Decoder_ResNet_VQVAE")
    settings = {"latent_dim": 16, "num_embeddings": 256, "use_ema": True}
    trainer = pythaes_model(task, halves[0], "VQVAE", networks, **settings)
    seconds = halves[0].passed
    sampler = import_module("pythae.samplers").PixelCNNSampler(trainer.model)
    module = "pythae.samplers.pixelcnn_sampler.pixelcnn_sampler"
    with TemporaryDirectory() as folder, mock.patch(f"{module}.BaseTrainer", pythaes_trainer(halves[1])):
        sampler.fit(unit_pixels(task.images), training_config=pythaes_settings(folder))
    seconds += halves[1].passed
    sampler.pixelcnn_model.eval()
    # Its sampler looks codes up in an nn.Embedding, which they are not with `use_ema`.
    quantizer = trainer.model.quantizer
    codes = quantizer.embeddings
    del quantizer.embeddings
    quantizer.embeddings = nn.Embedding.from_pretrained(codes)
    drawn = {"PixelCNNSampler": by_pythae(sampler)}
    return Trained(trainer.steps, trainer.steps * PYTHAE_BATCH, seconds, drawn, low=0.0)


DRIVERS: dict[str, Callable[[Task], Trained]] = {
    "gans_pytorch": gans_pytorch,
    "mimicry_sngan": mimicry_sngan,
    "r3gan_official": r3gan_official,
    "pythae_vae": pythae_vae,
    "pythae_vqvae": pythae_vqvae,
}


def drive(task: Task, driver: Callable[[Task], Trained], count: int, output: Path) -> dict[str, Any]:
    """Train and write the samples; what the line of JSON says."""
    began = time.monotonic()
    trained = driver(task)
    output.mkdir(parents=True, exist_ok=True)
    for name, draw in trained.samplers.items():
        pixels = draw(count).sub(trained.low).mul(255 / (1 - trained.low)).round().clamp(0, 255)
        if not pixels.isfinite().all():
            sys.exit(f"{name}: samples are NaN or infinite; the training diverged.")
        np.save(output / f"{name}.npy", pixels.to(torch.uint8).numpy())
    return {
        "steps": trained.steps,
        "images": trained.images,
        "seconds": round(trained.seconds, 1),
        "images_per_second": round(trained.images / trained.seconds, 1),
        "other_seconds": round(time.monotonic() - began - trained.seconds, 1),
        "samples": list(trained.samplers),
    }


def main(arguments: list[str]) -> None:
    parser = ArgumentParser(prog="python -m tests.benchmarks.peer_drivers")
    parser.add_argument("name", choices=DRIVERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("array", type=Path)
    parser.add_argument("minutes", type=float)
    parser.add_argument("count", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    asked = parser.parse_args(arguments)
    sys.path.insert(0, str(asked.folder))
    torch.set_flush_denormal(True)
    torch.manual_seed(asked.seed)
    np.random.seed(asked.seed)  # scikit-learn's mixture draws from it
    Adam([torch.zeros(1, requires_grad=True)]).step()  # the first one imports much: seconds of no training
    settings = {key: yaml.safe_load(value) for key, _, value in (entry.partition("=") for entry in asked.set)}
    images = torch.from_numpy(np.load(asked.array))
    with redirect_stdout(sys.stderr):  # the last line of the output is ours
        task = Task(asked.folder, images, Clock(60 * asked.minutes), settings)
        told = drive(task, DRIVERS[asked.name], asked.count, asked.output)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
