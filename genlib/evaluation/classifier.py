"""The small classifier whose features judge samples: its network, its training, and where it is kept."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from genlib.data.batches import EpochOrder
from genlib.data.folder import DatasetFolder, Part
from genlib.errors import UserError
from genlib.evaluation.features import Extractor
from genlib.files import read_json, rename_into_place, sha256_of_file, sha256_of_json, sync, write_json
from genlib.randomness import seed_for

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


class Classifier(nn.Module):
    """uint8 (N, C, H, W) => class scores (N, classes)."""

    def __init__(self, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        self.features = FeatureNetwork(channels, image_size)
        self.head = nn.Linear(NUM_FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def new_classifier(dataset: DatasetFolder, classes: int, seed: int) -> Classifier:
    """An untrained one, the same for the same seed; the global generator is left as it was."""
    channels, height, _ = dataset.manifest.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("classifier", seed))
        return Classifier(channels, height, classes)


def random_extractor(dataset: DatasetFolder, device: torch.device) -> Extractor:
    """The classifier's network with its first weights."""
    network = new_classifier(dataset, classes=2, seed=RECIPE["seed"]).features
    weights = save(contiguous(network.state_dict()), metadata={"network": RECIPE["network"]})
    facts = {"network": RECIPE["network"], "seed": RECIPE["seed"]}
    return Extractor("random", network, NUM_FEATURES, hashlib.sha256(weights).hexdigest(), facts).to(device)


def number_of_classes(dataset: DatasetFolder) -> int:
    """Of the train split; 0 where it has less than two classes to tell apart. Negative labels are unknown ones."""
    labels = dataset.labels("train")
    if labels is None or len(np.unique(labels[labels >= 0])) < 2:
        return 0
    return max(int(labels.max()) + 1, len(dataset.manifest.label_names or ()))


def classifier_folder(dataset: DatasetFolder, device: torch.device) -> Path:
    """Where the dataset's trained classifier is kept; trained first if it is not there yet.

    Its name is the hash of the data and of the recipe, so it is never stale. Whoever comes second waits.
    """
    classes = number_of_classes(dataset)
    asked = {**RECIPE, "classes": classes, "dataset": dataset.manifest.content_hash}
    folder = dataset.path / f"extractor-{sha256_of_json(asked)[:12]}"
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.exists():
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
            partial.mkdir()
            start = time.monotonic()
            print(f"Training the feature classifier on {dataset.path.name}, once.", flush=True)
            classifier = train_classifier(dataset, classes, device)
            accuracy = accuracy_on_test(classifier, dataset, device)
            weights = partial / "weights.safetensors"
            save_file(contiguous(classifier.state_dict()), weights, metadata={"network": RECIPE["network"]})
            sync(weights)
            facts = {**asked, "test_accuracy": accuracy, "seconds": round(time.monotonic() - start, 1)}
            facts |= {"weights_sha256": sha256_of_file(weights), "torch": torch.__version__, "device": device.type}
            write_json(partial / "extractor.json", facts)
            rename_into_place(partial, folder)
            print(f"Feature classifier: test accuracy {accuracy}, {facts['seconds']} s.", flush=True)
    return folder


def classifier_extractor(dataset: DatasetFolder, folder: Path, device: torch.device) -> tuple[Extractor, nn.Module]:
    """The trained classifier of `classifier_folder`: its features, and the layer from these to class scores.

    UserError if its weights are not those that were trained.
    """
    facts = read_json(folder / "extractor.json")
    weights = folder / "weights.safetensors"
    if sha256_of_file(weights) != facts["weights_sha256"]:
        raise UserError(f"{weights} has changed since it was trained; delete {folder} to train it again.")
    classifier = new_classifier(dataset, facts["classes"], facts["seed"])
    classifier.load_state_dict(load_file(weights))
    kept = {key: facts[key] for key in ("network", "test_accuracy", "seconds", "most_images", "epochs", "seed")}
    extractor = Extractor("classifier", classifier.features, NUM_FEATURES, facts["weights_sha256"], kept)
    return extractor.to(device), classifier.head.requires_grad_(False).to(device)


def train_classifier(dataset: DatasetFolder, classes: int, device: torch.device) -> Classifier:
    """Cross-entropy on the labelled images of the train split; all draws are private."""
    images, labels, rows = labelled(dataset, "train")
    classifier = new_classifier(dataset, classes, RECIPE["seed"]).to(device)
    batch_size, learning_rate = min(RECIPE["batch_size"], len(rows)), RECIPE["learning_rate"]
    steps = max(1, min(RECIPE["epochs"] * len(rows), RECIPE["most_images"]) // batch_size)
    optimizer = torch.optim.AdamW(
        classifier.parameters(),
        learning_rate,
        weight_decay=RECIPE["weight_decay"],
        fused=device.type in ("cpu", "cuda"),
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    order = EpochOrder(len(rows), seed_for("classifier order", RECIPE["seed"]), torch.device("cpu"))
    for step in range(steps):
        chosen = rows[order(step * batch_size, batch_size).numpy()]
        scores = classifier(torch.from_numpy(images[chosen]).to(device))
        loss = F.cross_entropy(scores, torch.from_numpy(labels[chosen]).to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()


@torch.no_grad()
def accuracy_on_test(classifier: Classifier, dataset: DatasetFolder, device: torch.device) -> float | None:
    """Share of the labelled test images whose best score is their class's; None if there are none."""
    images, labels, rows = labelled(dataset, "test")
    right = 0
    for start in range(0, len(rows), 500):
        chosen = rows[start : start + 500]
        predicted = classifier(torch.from_numpy(images[chosen]).to(device)).argmax(1).cpu()
        right += int((predicted == torch.from_numpy(labels[chosen])).sum())
    return right / len(rows) if len(rows) else None


def labelled(dataset: DatasetFolder, split: Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images and labels of a split, and the rows whose label is known."""
    images, labels = dataset.images(split), dataset.labels(split)
    if labels is None:
        labels = np.full(len(images), -1)
    return images, labels, np.flatnonzero(labels >= 0)


def contiguous(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
