"""What is given to a sampler, read from files: images, or an array of them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genlib.conditions.base import Condition
from genlib.conditions.captions import Captions
from genlib.conditions.images import Masked
from genlib.data.making.decode import FILTER, reason, upright_eight_bit
from genlib.data.reading.image_files import IMAGE_SUFFIXES
from genlib.data.reading.image_folder import without_others
from genlib.errors import UserError

ARRAY_SUFFIXES = {".npy", ".npz"}
ARRAY = "images"  # the name of the array in an .npz with several
OPAQUE = 128  # the least alpha of a pixel that counts as known


def read_contexts(given: str | Path, condition: Condition, resize: bool = False) -> Tensor:
    """What is given, as stored, (n, *condition.shape): a caption, or a .txt file with one on each line; an image file,
    a folder of them, or an .npy or .npz file with such an array.

    Images are read as `prepare` reads them: upright, with 8 bits, on white where they are transparent. A masked context
    is an image whose transparent pixels are to be filled; in an array its last channel is 255 where pixels are known.
    With `resize` images of another size are cut to their centre and scaled. UserError for another size without it, for
    colours where one channel is needed, a mask that hides nothing or all, no image, or words that the model was not
    taught.
    """
    if isinstance(condition, Captions):
        return condition.encode(captions_in(str(given)))
    path = Path(given)
    found = array_of(path) if path.suffix.lower() in ARRAY_SUFFIXES else pictures_of(path, condition, resize)
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[1:] != condition.shape or not len(found):
        raise UserError(
            f"{path} holds {found.dtype} of shape {'x'.join(map(str, found.shape))}, and condition {condition.name} "
            f"takes uint8 of shape {'x'.join(map(str, ('n', *condition.shape)))}."
        )
    contexts = torch.from_numpy(np.array(found))
    if fault := condition.fault(contexts):
        raise UserError(f"{path}: {fault}")
    return condition.cleaned(contexts)


def captions_in(given: str) -> list[str]:
    """The lines of a .txt file, or the text itself."""
    if not given.lower().endswith(".txt"):
        return [given]
    try:
        lines = [line.strip() for line in Path(given).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{given} cannot be read ({error}); name a file with a caption on each line.") from error
    if not lines:
        raise UserError(f"{given} holds no captions; write one on each line.")
    return lines


def array_of(path: Path) -> np.ndarray:
    """UserError where the file is something else, or holds several arrays and none is called 'images'."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as arrays:
            names = list(arrays.files)
            if len(names) == 1 or ARRAY in names:
                return arrays[ARRAY if ARRAY in names else names[0]]
    except Exception as error:  # NumPy's readers raise nearly anything on damaged contents
        raise UserError(
            f"{path} cannot be read as an array ({reason(error)}); name a .npy file that NumPy wrote."
        ) from error
    raise UserError(f"{path} holds the arrays {', '.join(names) or '(none)'}; call the one that is given '{ARRAY}'.")


def pictures_of(path: Path, condition: Condition, resize: bool) -> np.ndarray:
    """uint8 (n, K, h, w)"""
    try:
        files = images_in(path) if path.is_dir() else [path]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason(error)}); name another file or folder.") from error
    return np.stack([picture_of(file, condition, resize) for file in files])


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; a warning counts and names what else there is."""
    files = without_others((PurePosixPath(file.name) for file in folder.iterdir()), folder)
    if not files:
        raise UserError(f"{folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); name another, or a file.")
    return files


def picture_of(file: Path, condition: Condition, resize: bool) -> np.ndarray:
    """uint8 (K, h, w)"""
    channels, height, width = condition.shape
    masked = isinstance(condition, Masked)
    try:
        image = upright_eight_bit(str(file))
    except Exception as error:  # Pillow's readers raise nearly anything on damaged contents
        raise UserError(f"{file} cannot be read as an image ({reason(error)}); name another.") from error
    if masked and not image.mode.endswith("A"):
        raise UserError(f"{file} has no transparent pixels, which condition masked fills; make some so.")
    if image.size != (width, height) and not resize:
        raise UserError(
            f"{file} is {image.width}x{image.height} pixels, and condition {condition.name} takes {width}x{height}; "
            "give --resize to have its centre scaled."
        )
    if masked:
        planes, known = hole_apart(image, (width, height))
    else:
        planes = np.asarray(fitted(on_white(image), (width, height)).convert("RGB")).transpose(2, 0, 1)
    if channels - masked == 1:
        if (planes != planes[:1]).any():
            raise UserError(f"{file} is in colour, and condition {condition.name} takes one channel; make it grey.")
        planes = planes[:1]
    return np.concatenate([planes, known[None]]) if masked else planes


def on_white(image: Image.Image) -> Image.Image:
    """As `prepare` shows what is transparent."""
    if not image.mode.endswith("A"):
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def hole_apart(image: Image.Image, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The colours of an image with alpha, uint8 (3, h, w), 0 in its hole; and uint8 (h, w), 255 where they are known.

    A pixel of another size is known if all pixels that it covers are. Its colour is the weighted mean of known pixels,
    so that no colour from under the hole reaches it.
    """
    opaque = (np.asarray(image.getchannel("A")) >= OPAQUE).astype(np.float32)
    colours = np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1)
    hidden_share = scaled(1 - opaque, size, Image.Resampling.BOX)
    weights = scaled(opaque, size)
    means = np.stack([scaled(colour * opaque, size) for colour in colours]) / np.where(hidden_share > 0, 1, weights)
    found = np.rint(means).clip(0, 255).astype(np.uint8)
    return np.where(hidden_share > 0, np.uint8(0), found), np.where(hidden_share > 0, 0, 255).astype(np.uint8)


def scaled(values: np.ndarray, size: tuple[int, int], resampling: Image.Resampling = FILTER) -> np.ndarray:
    """float32 (H, W) => float32 (h, w)"""
    return np.asarray(fitted(Image.fromarray(values), size, resampling))


def fitted(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling = FILTER) -> Image.Image:
    """The centre of an image, in the shape that `size` (width, height) has, scaled to it."""
    return image if image.size == size else ImageOps.fit(image, size, resampling)
