"""Small sources of images with known pixels, for the tests beside."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import numpy as np
from PIL import Image


def pictures(count, size=8, seed=0):
    """uint8 (count, size, size)"""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def table(images, labels=None, names=("ant", "bee", "cat")):
    """A dataset with an image column and, if there are labels, a ClassLabel column."""
    columns = {"picture": [{"bytes": None if image is None else image, "path": None} for image in images]}
    features = {"picture": datasets.Image()}
    if labels is not None:
        columns["kind"] = list(labels)
        features["kind"] = datasets.ClassLabel(names=list(names))
    return datasets.Dataset.from_dict(columns, datasets.Features(features))


def hub_folder(folder: Path, train=12, test=6):
    """Parquet files named as on the hub; the folder, and the pixels and labels of its splits."""
    truth = {}
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, count) in enumerate({"train": train, "test": test}.items()):
        images, labels = pictures(count, seed=seed), np.arange(count) % 3
        table(map(png, images), labels).to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
        truth[split] = (images[:, None], labels)
    return folder, truth


def image_folder(folder: Path, splits=("train", "test"), classes=("bee", "ant"), each=3):
    """[split/][class/]image files; their pixels in the order of their paths."""
    truth = {}
    for seed, split in enumerate(splits):
        images = pictures(each * len(classes), seed=seed)
        for place, image in enumerate(images):
            file = folder / split / sorted(classes)[place // each] / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(image))
        truth[split] = (images[:, None], np.arange(len(images)) // each)
    return folder, truth
