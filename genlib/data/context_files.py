"""What is given to a sampler, read from files: images, or an array of them."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from genlib.conditions import Captions, Condition, Masked
from genlib.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MODES = {1: "L", 3: "RGB"}
WITH_ALPHA = {1: "LA", 3: "RGBA"}


def read_contexts(given: str | Path, condition: Condition) -> Tensor:
    """What is given, as stored, (n, *condition.shape): a caption, or a .txt file with one on each line; an image file,
    a folder of them, or an .npy or .npz file with such an array.

    A masked context is an image whose transparent pixels are to be filled; in an array its last channel is 255 where
    pixels are known. UserError for another size or other channels, a mask that hides nothing or all, no image, or words
    that the model was not taught.
    """
    if isinstance(condition, Captions):
        return condition.encode(captions_in(str(given)))
    path = Path(given)
    found = array_of(path) if path.suffix in (".npy", ".npz") else pictures_of(path, condition)
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[1:] != condition.shape or not len(found):
        raise UserError(
            f"{path} holds {found.dtype} of shape {'x'.join(map(str, found.shape))}, and condition {condition.name} "
            f"takes uint8 of shape {'x'.join(map(str, ('n', *condition.shape)))}."
        )
    contexts = torch.from_numpy(np.ascontiguousarray(found))
    if fault := condition.fault(contexts):
        raise UserError(f"{path}: {fault}")
    return condition.cleaned(contexts)


def captions_in(given: str) -> list[str]:
    """The lines of a .txt file, or the text itself."""
    if not given.endswith(".txt"):
        return [given]
    try:
        lines = [line.strip() for line in Path(given).read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{given} cannot be read ({error}); name a file with a caption on each line.") from error
    if not lines:
        raise UserError(f"{given} holds no captions; write one on each line.")
    return lines


def array_of(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    except (OSError, ValueError, EOFError, IndexError, BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read as an array ({error}); name a .npy file that NumPy wrote.") from error


def pictures_of(path: Path, condition: Condition) -> np.ndarray:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} holds no images ({', '.join(SUFFIXES)}); name another folder, or a file.")
    return np.stack([picture_of(file, condition) for file in files])


def picture_of(file: Path, condition: Condition) -> np.ndarray:
    """uint8 (K, h, w)"""
    channels, height, width = condition.shape
    masked = isinstance(condition, Masked)
    mode = WITH_ALPHA[channels - 1] if masked else MODES[channels]
    try:
        with Image.open(file) as opened:
            opened.load()
            size, own = opened.size, opened.mode
            transparent = own in ("LA", "PA", "RGBA") or "transparency" in opened.info
            if masked and not transparent:
                raise UserError(f"{file} has no transparent pixels, which condition masked fills; make some so.")
            grey = own in ("1", "L", "LA", "I", "I;16")
            if not grey and condition.shape[0] - masked == 1:
                raise UserError(
                    f"{file} is in colour (mode {own}), and condition {condition.name} takes one channel; make it grey."
                )
            pixels = np.asarray(opened.convert("RGBA").convert(mode) if own in ("P", "PA") else opened.convert(mode))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"{file} cannot be read as an image ({error}); name another.") from error
    if size != (width, height):
        raise UserError(f"{file} is {size[0]}x{size[1]} pixels, and condition {condition.name} takes {width}x{height}.")
    found = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return found.copy()
