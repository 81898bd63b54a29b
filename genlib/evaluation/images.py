"""Images or points that anybody made, for an evaluation: taken as they are, or refused; never resized nor blended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import ExifTags, Image, ImageFile
from torch import Tensor

from genlib.data.making.decode import reason
from genlib.data.reading.fingerprint import walk
from genlib.data.reading.image_files import IMAGE_SUFFIXES
from genlib.data.reading.image_folder import without_others
from genlib.errors import UserError
from genlib.runtime.cores import cores
from genlib.sampling.draw import CHUNK

Shape = tuple[int, ...]  # C, H, W; 2 of points

ARRAY_SUFFIXES = {".npz", ".npy"}
# Pillow's modes that become L or RGB without loss, by their number of channels.
GREY_MODES, COLOUR_MODES = {"1", "L"}, {"P", "RGB"}
REMEDY = "resize and save them without loss first: the distance of images resized here would be another metric"


@dataclass(frozen=True)
class ImageSet:
    """Images on disk: `count` of them, uint8 (C, H, W) each, read chunk by chunk in the order of their names; or
    points, float32 (2,) each.
    """

    path: Path
    count: int
    shape: Shape
    files: list[Path]  # that they are in, in order
    read: Callable[[int, int], np.ndarray]  # from, to => uint8 (N, C, H, W), or float32 (N, 2)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the files' bytes, one file after the other."""
        digest = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)  # goes on with this one
        return digest.hexdigest()

    def chunk(self, index: int) -> Tensor:
        """Images CHUNK * index and on, (at most CHUNK, ...); UserError if one cannot be decoded."""
        return torch.from_numpy(self.read(index * CHUNK, min((index + 1) * CHUNK, self.count)))


def open_images(path: Path, shape: Shape) -> ImageSet:
    """The images of a folder (searched recursively), or of a .npz (its array `images`) or .npy with (N, C, H, W); or
    the points of a .npz (its array `points`) or .npy with (N, 2).

    UserError, before any pixel of a folder is decoded, if an image is not uint8 of this shape (C, H, W), or a point not
    a finite floating-point one.
    """
    if len(shape) == 1:
        points = open_points(path)
        return ImageSet(path, len(points), shape, [path], lambda start, end: points[start:end])
    if path.is_dir():
        return open_folder(path, shape)
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a folder of images, or a .npz or .npy file.")
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise UserError(f"{path} is neither a folder of images nor a .npz or .npy file; name one.")
    images = open_array(path, shape)
    return ImageSet(path, len(images), shape, [path], lambda start, end: np.array(images[start:end]))


def loaded(path: Path, name: str) -> np.ndarray:
    """A .npy mapped, or a .npz's array of this name, whole in memory."""
    try:
        array = np.load(path, mmap_mode="r")
        if isinstance(array, np.lib.npyio.NpzFile):
            with array as arrays:
                names = arrays.files
                array = arrays[name] if name in names else None
    except Exception as error:  # whatever NumPy meets in files that are something else
        raise UserError(
            f"{path} cannot be read as a NumPy file ({reason(error)}); write it with numpy.savez or numpy.save."
        ) from error
    if array is None:
        raise UserError(f"{path} has no array '{name}', but {', '.join(names) or 'nothing'}; call it '{name}'.")
    return array


def open_points(path: Path) -> np.ndarray:
    """float32 (N, 2)"""
    if path.suffix.lower() not in ARRAY_SUFFIXES or not path.is_file():
        raise UserError(f"{path} is no .npz or .npy file, and the dataset is points in the plane; name one of (N, 2).")
    points = loaded(path, "points")
    if points.dtype not in (np.float32, np.float64) or points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"{path} holds {points.dtype} {points.shape}; save points as float32 or float64 (N, 2).")
    if not len(points) or not np.isfinite(points).all():
        raise UserError(f"{path} holds no points, or some that are not finite; leave these out.")
    return points.astype(np.float32)


def open_array(path: Path, shape: Shape) -> np.ndarray:
    """uint8 (N, *shape)"""
    images = loaded(path, "images")
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UserError(f"{path} holds {images.dtype} {images.shape}; save uint8 (N, C, H, W), of 0 to 255.")
    if images.shape[1:] != shape:
        raise UserError(
            f"{path} holds images of shape {images.shape[1:]}, the dataset's are {shape} (C, H, W); {REMEDY}."
        )
    if not len(images):
        raise UserError(f"{path} holds no images; name a file with some.")
    return images


def open_folder(path: Path, shape: Shape) -> ImageSet:
    try:
        names = sorted(name for name, _ in walk(str(path), "", ()))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.") from error
    files = without_others(map(PurePosixPath, names), path)
    if not files:
        raise UserError(f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); name a folder with some.")
    with ThreadPoolExecutor(cores()) as threads:
        for _ in threads.map(partial(check, shape=shape), files):
            pass

    def read(start: int, end: int) -> np.ndarray:
        with ThreadPoolExecutor(cores()) as threads:
            return np.stack(list(threads.map(partial(decode, shape=shape), files[start:end])))

    return ImageSet(path, len(files), shape, files, read)


def check(file: Path, shape: Shape) -> None:
    """UserError if the header of an image says that it is not of this shape, or not so without loss."""
    with opened(file) as image:
        check_header(file, image, shape)


def check_header(file: Path, image: ImageFile.ImageFile, shape: Shape) -> None:
    if image.has_transparency_data:
        raise UserError(f"{file} has transparency (mode {image.mode}), and L or RGB is needed; put it on a background.")
    # Of colours with 16 bits, Pillow would drop the lower ones without a word.
    if image.mode not in GREY_MODES | COLOUR_MODES or ";16" in str(image.tile):
        bits = "of 16 bits" if ";16" in str(image.tile) else f"of mode {image.mode}"
        raise UserError(f"{file} is {bits}, and L or RGB of 8 bits is needed; convert it first.")
    if getattr(image, "is_animated", False):
        raise UserError(f"{file} holds several pictures; save each in a file of its own.")
    if "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
        raise UserError(f"{file} is stored rotated or mirrored (its EXIF orientation says so); save it upright.")
    found = (1 if image.mode in GREY_MODES else 3, image.height, image.width)
    # A colour file may hold a grey image; whether it does, its pixels tell.
    if found[1:] != shape[1:] or found[0] < shape[0]:
        raise UserError(f"{file} has the shape {found}, the dataset's images have {shape} (C, H, W); {REMEDY}.")


def decode(file: Path, shape: Shape) -> np.ndarray:
    """uint8 (C, H, W); UserError if the image is damaged, or coloured where the dataset's are grey."""
    with opened(file) as image:
        check_header(file, image, shape)  # it may have changed since
        if image.mode in GREY_MODES:
            return np.asarray(image.convert("L"))[None]
        pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    if shape[0] == 1:
        if (pixels != pixels[:1]).any():
            raise UserError(f"{file} is coloured, the dataset's images are grey; save it as grey first.")
        return pixels[:1]
    return pixels


@contextmanager
def opened(file: Path) -> Iterator[ImageFile.ImageFile]:
    try:
        with Image.open(file) as image:
            yield image
    except UserError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged contents
        raise UserError(f"{file} cannot be decoded ({reason(error)}); replace or remove it.") from error
