"""A dataset folder: decoded images, or points, and labels as memory-mappable arrays, with a manifest that describes
them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from genlib.errors import UserError, one_line
from genlib.storage.files import read_json, write_json

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")
MANIFEST = "manifest.json"
STACKED = 3  # grey images in one of colour (Metz et al. 2017, section 3.3.1)


@dataclass(frozen=True)
class Manifest:
    source: str
    revision: str | None  # commit of a hub dataset
    request: dict[str, Any]  # the configuration's data section
    counts: dict[str, int]  # by split
    skipped: dict[str, int]  # corrupt images left out, by split
    shape: list[int]  # [C, H, W], or [2] for points
    label_names: list[str] | None
    mean: list[float]  # per channel of the train images, 0 to 255; per coordinate of the train points
    std: list[float]
    content_hash: str  # SHA-256 over the array files
    versions: dict[str, str]
    created: str  # ISO 8601, UTC
    scenes: dict[str, Any] | None = None  # with data.scenes: names of the things, limits of their looks
    left_out: list[dict[str, Any]] | None = None  # LeftOut: files and images, counted and named
    warnings: list[str] | None = None  # sentences for whoever prepares these data

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST, asdict(self))


def images_file(folder: Path, split: Split) -> Path:
    return folder / f"{split}_images.npy"


def labels_file(folder: Path, split: Split) -> Path:
    return folder / f"{split}_labels.npy"


def captions_file(folder: Path, split: Split) -> Path:
    return folder / f"{split}_captions.npy"


def cells_file(folder: Path, split: Split) -> Path:
    return folder / f"{split}_cells.npy"


@dataclass(frozen=True)
class DatasetFolder:
    path: Path
    manifest: Manifest

    @property
    def is_points(self) -> bool:
        return len(self.manifest.shape) == 1

    @property
    def stacked(self) -> bool:
        """Whether the channels are three separate images, and a label is that of the three together."""
        return bool(self.manifest.request.get("stacked"))

    def images(self, split: Split) -> np.memmap:
        """uint8 (N, C, H, W), or float32 points (N, 2); read-only, paged in from disk as it is touched."""
        return np.load(images_file(self.path, split), mmap_mode="r")

    def labels(self, split: Split) -> np.ndarray | None:
        """int64 (N,), positions in manifest.label_names; None for a split without labels."""
        file = labels_file(self.path, split)
        return np.load(file) if file.exists() else None

    def captions(self, split: Split) -> np.ndarray:
        """int64 (N, LENGTH), the words of scenes; UserError where there are none."""
        return self._of_scenes(captions_file(self.path, split))

    def cells(self, split: Split) -> np.ndarray:
        """int64 (N, 9), the labels of what stands in a scene, row by row, -1 where nothing does; UserError as above."""
        return self._of_scenes(cells_file(self.path, split))

    def _of_scenes(self, file: Path) -> np.ndarray:
        if not self.manifest.scenes:
            raise UserError(f"dataset folder {self.path} has no captions; set data.scenes, and prepare it again.")
        return np.load(file)

    @property
    def scene_names(self) -> list[str] | None:
        """The names of the things in scenes; None where there are no scenes."""
        return self.manifest.scenes["names"] if self.manifest.scenes else None

    def label_shares(self) -> list[float] | None:
        """Each class's share of the labelled train images; None without labels."""
        labels = self.labels("train")
        known = np.empty(0, np.int64) if labels is None else labels[labels >= 0]
        if not len(known):
            return None
        counts = np.bincount(known, minlength=len(self.manifest.label_names or ()))
        return (counts / len(known)).tolist()

    def number_of_classes(self) -> int:
        """Classes that a classifier can learn from the train split; 0 where it has images of less than two.

        Negative labels are unknown ones.
        """
        labels = self.labels("train")
        if labels is None or len(np.unique(labels[labels >= 0])) < 2:
            return 0
        known = max(int(labels.max()) + 1, len(self.manifest.label_names or ()))
        return round(known ** (1 / STACKED)) ** STACKED if self.stacked else known

    def unlabelled(self, split: Split) -> int:
        """How many images of a split that has labels have none (-1)."""
        labels = self.labels(split)
        return 0 if labels is None else int((labels < 0).sum())


def open_dataset(path: str | Path) -> DatasetFolder:
    """A finished dataset folder; UserError if there is none, or if its arrays do not agree with its manifest."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"dataset folder {path} does not exist; make it with genlib prepare CONFIG.")
    try:
        folder = DatasetFolder(path, manifest_of(read_json(path / MANIFEST)))
        damage = damage_of(folder)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join([MANIFEST, *map(str, problem["loc"])])
        damage = one_line(f"{where}: {problem['msg']}, not {problem['input']!r:.100}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        damage = one_line(f"{type(error).__name__}: {error}")
    if damage:
        raise UserError(
            f"dataset folder {path} is not whole ({damage}); delete it and run genlib prepare CONFIG again."
        )
    return folder


def manifest_of(content: Any) -> Manifest:
    """The manifest in a JSON value; pydantic's ValidationError where a value is missing or of another type."""
    # As JSON, since a strict adapter takes no Python object but a Manifest.
    return TypeAdapter(Manifest).validate_json(json.dumps(content), strict=True)


def damage_of(folder: DatasetFolder) -> str | None:
    """A fault of the arrays' shapes and types or of the labels; None where there is none."""
    names = folder.manifest.label_names
    dtype = np.float32 if folder.is_points else np.uint8
    for split in SPLITS:
        count = folder.manifest.counts[split]
        images, labels = folder.images(split), folder.labels(split)
        if images.shape != (count, *folder.manifest.shape) or images.dtype != dtype:
            return f"{split} images are {images.dtype} {images.shape}"
        if labels is not None and (labels.shape != (count,) or labels.dtype != np.int64):
            return f"{split} labels are {labels.dtype} {labels.shape}"
        if labels is not None and names is not None and len(labels) and labels.max() >= len(names):
            return f"{split} labels go to {labels.max()}, but {len(names)} classes have names"
    return None
