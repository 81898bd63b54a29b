"""The small classifier by whose features samples are compared: its network, its training, and where it is kept."""

from __future__ import annotations

import hashlib
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.nn import functional as F

from genlib.data.batches import EpochOrder
from genlib.data.folder import STACKED, DatasetFolder, Split
from genlib.errors import UserError
from genlib.evaluation.features import Extractor
from genlib.runtime.randomness import seed_for
from genlib.runtime.threads import torch_threads
from genlib.storage.files import read_json, sha256_of_file, sha256_of_json, whole_folder, write_json
from genlib.storage.tensors import load_weights, tensor_bytes, write_tensors

NUM_FEATURES = 64

# With the data, all that decides the weights: another recipe is kept in another folder.
RECIPE: dict[str, Any] = {
    "network": "FeatureNetwork 1",
    "optimizer": "AdamW, one cycle",
    "learning_rate": 0.004,
    "weight_decay": 0.01,
    "batch_size": 128,
    "epochs": 15,
    "most_images": 150_000,  # over all epochs
    "seed": 0,
}
KEPT = ("network", "test_accuracy", "seconds", "most_images", "epochs", "seed")  # facts that provenance names


class FeatureNetwork(nn.Module):
    """uint8 (N, C, H, W) => float (N, 64), the means of the last maps; for images of 8 pixels or more on a side."""

    def __init__(self, channels: int, image_size: int) -> None:
        super().__init__()
        layers = convolution(channels, 32, kernel=5, stride=2 if image_size >= 16 else 1)
        width = 32
        for _ in range(math.ceil(math.log2(image_size / 32)) if image_size > 32 else 0):
            layers += convolution(width, 64, stride=2)
            width = 64
        layers += [*convolution(width, 64), nn.MaxPool2d(2), *convolution(64, 128), *convolution(128, NUM_FEATURES)]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # three times faster on a CPU

    def forward(self, images: Tensor) -> Tensor:
        return self.layers((images / 127.5 - 1).contiguous(memory_format=torch.channels_last)).mean((2, 3))


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


class EachChannel(nn.Module):
    """A network for grey images on each channel by itself: uint8 (N, C, H, W) => (N, C * 64)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.flatten(0, 1)[:, None]).unflatten(0, images.shape[:2]).flatten(1)


class Classifier(nn.Module):
    """uint8 (N, C, H, W) => class scores (N, classes)."""

    def __init__(self, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        self.features = FeatureNetwork(channels, image_size)
        self.head = nn.Linear(NUM_FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class ClassOfFeatures(nn.Module):
    """The classifier's features, (N, 64) for each of `parts` channels, => classes, int64 (N,).

    Of stacked images, whose channels are a, b and c of K classes, it is a K^2 + b K + c.
    """

    def __init__(self, head: nn.Linear, parts: int) -> None:
        super().__init__()
        self.head, self.parts = head, parts

    def forward(self, features: Tensor) -> Tensor:
        of_parts = self.head(features.unflatten(1, (self.parts, NUM_FEATURES))).argmax(2)
        return composed(of_parts, self.head.out_features)


def composed(of_parts: Tensor, classes: int) -> Tensor:
    """Digits (N, parts) to the base `classes`, the first counting most, => numbers (N,)."""
    powers = classes ** torch.arange(of_parts.shape[1] - 1, -1, -1, device=of_parts.device)
    return (of_parts * powers).sum(1)


def decomposed(labels: Tensor, classes: int, parts: int) -> Tensor:
    """(N,) => their digits to the base `classes`, (N, parts)."""
    powers = classes ** torch.arange(parts - 1, -1, -1, device=labels.device)
    return labels[:, None] // powers % classes


def new_classifier(task: Task, image_size: int, seed: int) -> Classifier:
    """An untrained one, the same for the same seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("classifier", seed))
        return Classifier(task.channels, image_size, task.classes)


def random_extractor(dataset: DatasetFolder, device: torch.device) -> Extractor:
    """The classifier's network with its first weights."""
    channels, height, _ = dataset.manifest.shape
    network = new_classifier(Task(1, channels, 2), height, RECIPE["seed"]).features
    weights = tensor_bytes(network.state_dict(), {"network": RECIPE["network"]})
    facts = {"network": RECIPE["network"], "seed": RECIPE["seed"]}
    return Extractor("random", network, NUM_FEATURES, hashlib.sha256(weights).hexdigest(), facts).to(device)


class Task(NamedTuple):
    """The classifier's task: parts of an image, and their channels and classes."""

    parts: int  # that an image falls into
    channels: int  # of a part
    classes: int  # of a part


def task_of(dataset: DatasetFolder) -> Task:
    """The task on a dataset: stacked images are classified channel by channel, others whole."""
    classes = dataset.number_of_classes()
    if dataset.stacked:
        return Task(STACKED, 1, round(classes ** (1 / STACKED)))
    return Task(1, dataset.manifest.shape[0], classes)


def classifier_folder(dataset: DatasetFolder, device: torch.device) -> Path:
    """The folder of the dataset's trained classifier; trained first if it is not there yet.

    Its name is the hash of the data and of the recipe, so it is never stale. Whoever comes second waits. Of stacked
    images it is a classifier of single channels.
    """
    asked = {**RECIPE, "classes": task_of(dataset).classes, "dataset": dataset.manifest.content_hash}
    folder = dataset.path / f"extractor-{sha256_of_json(asked)[:12]}"
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.exists():
            start = time.monotonic()
            print(f"Training the feature classifier on {dataset.path.name}, once.", flush=True)
            classifier = train_classifier(dataset, device)
            accuracy = accuracy_on_test(classifier, dataset, device)
            facts = {**asked, "test_accuracy": accuracy, "seconds": round(time.monotonic() - start, 1)}
            with whole_folder(folder) as partial:
                weights, metadata = classifier.state_dict(), {"network": RECIPE["network"]}
                sha256 = write_tensors(partial / "weights.safetensors", weights, metadata)
                facts |= {"weights_sha256": sha256, "torch": torch.__version__, "device": device.type}
                write_json(partial / "extractor.json", facts)
            print(f"Feature classifier: test accuracy {accuracy}, {facts['seconds']} s.", flush=True)
    return folder


def classifier_extractor(dataset: DatasetFolder, folder: Path, device: torch.device) -> Extractor:
    """The trained classifier of `classifier_folder`: its features, and with `classify` the step from these to classes.

    UserError if its weights are not those that were trained.
    """
    facts = read_json(folder / "extractor.json")
    if not isinstance(facts, dict) or (missing := [key for key in (*KEPT, "weights_sha256") if key not in facts]):
        what = "it holds no object" if not isinstance(facts, dict) else f"it has no {missing[0]}"
        raise UserError(f"{folder / 'extractor.json'} is damaged ({what}); delete {folder} to train it again.")
    weights = folder / "weights.safetensors"
    if sha256_of_file(weights) != facts["weights_sha256"]:
        raise UserError(f"{weights} has changed since it was trained; delete {folder} to train it again.")
    task = task_of(dataset)
    classifier = new_classifier(task, dataset.manifest.shape[1], facts["seed"])
    load_weights(classifier, weights)
    kept = {key: facts[key] for key in KEPT}
    network = classifier.features if task.parts == 1 else EachChannel(classifier.features)
    classify = ClassOfFeatures(classifier.head, task.parts)
    size = task.parts * NUM_FEATURES
    return Extractor("classifier", network, size, facts["weights_sha256"], kept, classify=classify).to(device)


def train_classifier(dataset: DatasetFolder, device: torch.device) -> Classifier:
    """Cross-entropy on the labelled images of the train split; all draws are private."""
    examples = Examples(dataset, "train", device)
    rows, parts = examples.rows, examples.task.parts
    classifier = new_classifier(examples.task, dataset.manifest.shape[1], RECIPE["seed"]).to(device)
    batch_size, learning_rate = min(RECIPE["batch_size"] // parts, len(rows)), RECIPE["learning_rate"]
    steps = max(1, min(RECIPE["epochs"] * len(rows), RECIPE["most_images"] // parts) // batch_size)
    optimizer = torch.optim.AdamW(
        classifier.parameters(),
        learning_rate,
        weight_decay=RECIPE["weight_decay"],
        fused=device.type in ("cpu", "cuda"),
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    order = EpochOrder(len(rows), seed_for("classifier order", RECIPE["seed"]), torch.device("cpu"))
    for step in range(steps):
        torch_threads().follow()
        images, labels = examples(rows[order(step * batch_size, batch_size).numpy()])
        loss = F.cross_entropy(classifier(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()


@torch.no_grad()
def accuracy_on_test(classifier: Classifier, dataset: DatasetFolder, device: torch.device) -> float | None:
    """Share of the labelled test images, or of single channels where these are stacked, whose best score is their
    class's; None if there are none.
    """
    examples = Examples(dataset, "test", device)
    right = 0
    for start in range(0, len(examples.rows), 500):
        images, labels = examples(examples.rows[start : start + 500])
        right += int((classifier(images).argmax(1) == labels).sum())
    return right / (len(examples.rows) * examples.task.parts) if len(examples.rows) else None


class Examples:
    """The labelled images of a split, as the classifier sees them: a stacked one is an image and a label a channel."""

    def __init__(self, dataset: DatasetFolder, split: Split, device: torch.device) -> None:
        self.images, labels = dataset.images(split), dataset.labels(split)
        self.labels = np.full(len(self.images), -1) if labels is None else labels
        self.rows = np.flatnonzero(self.labels >= 0)
        self.task = task_of(dataset)
        self.device = device

    def __call__(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 (B, C, H, W) and int64 (B,), or three times as many grey ones."""
        images, labels = torch.from_numpy(self.images[rows]), torch.from_numpy(self.labels[rows])
        if self.task.parts > 1:
            images = images.flatten(0, 1)[:, None]
            labels = decomposed(labels, self.task.classes, self.task.parts).flatten()
        return images.to(self.device), labels.to(self.device)
