"""Contexts that a user names: a text, or the path of a file or folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from torch import Tensor

from genlib.contexts.base import Condition
from genlib.data.making.decode import reason, upright_eight_bit
from genlib.data.reading.image_files import IMAGE_SUFFIXES
from genlib.data.reading.image_folder import without_others
from genlib.errors import UserError

ARRAY_SUFFIXES = {".npy", ".npz"}
ARRAY = "images"  # the name of the array in an .npz with several


def read_contexts(given: str | Path, condition: Condition, resize: bool = False) -> Tensor:
    """The contexts that a user names, as stored, (n, *condition.shape): a text, or a .txt file with one on each line;
    an image file, a folder of them, or an .npy or .npz file with such an array; whichever the condition takes.

    Of a condition with a mask, an image's transparent pixels are to be filled; in an array its last channel is 255
    where pixels are known. With `resize` images of another size are cut to their centre and scaled. UserError for
    another size without it, for colours where one channel is needed, a mask that hides nothing or all, no image, or
    words that the model was not taught.
    """
    contexts = condition.read(GivenSource(given, resize))
    if fault := condition.fault(contexts):
        raise UserError(f"{given}: {fault}")
    return condition.cleaned(contexts)


class GivenSource:
    """A ContextSource on disk, or a text itself."""

    def __init__(self, given: str | Path, resize: bool = False) -> None:
        self.given, self.resize = given, resize

    def __str__(self) -> str:
        return str(self.given)

    def lines(self) -> list[str]:
        given = str(self.given)
        if not given.lower().endswith(".txt"):
            return [given]
        try:
            lines = [line.strip() for line in Path(given).read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{given} cannot be read ({error}); name a file with a caption on each line.") from error
        if not lines:
            raise UserError(f"{given} holds no captions; write one on each line.")
        return lines

    def array(self) -> np.ndarray | None:
        path = Path(self.given)
        return array_of(path) if path.suffix.lower() in ARRAY_SUFFIXES else None

    def pictures(self, size: tuple[int, int], condition: str) -> list[tuple[str, Image.Image]]:
        path = Path(self.given)
        try:
            files = images_in(path) if path.is_dir() else [path]
        except OSError as error:
            raise UserError(f"{path} cannot be read ({reason(error)}); name another file or folder.") from error
        return [(str(file), self.picture(file, size, condition)) for file in files]

    def picture(self, file: Path, size: tuple[int, int], condition: str) -> Image.Image:
        try:
            image = upright_eight_bit(str(file))
        except Exception as error:  # Pillow's readers raise nearly anything on damaged contents
            raise UserError(f"{file} cannot be read as an image ({reason(error)}); name another.") from error
        if image.size != size and not self.resize:
            raise UserError(
                f"{file} is {image.width}x{image.height} pixels, and condition {condition} takes "
                f"{size[0]}x{size[1]}; give --resize to have its centre scaled."
            )
        return image


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
    raise UserError(f"{path} holds the arrays {', '.join(names) or '(none)'}; call the one with contexts '{ARRAY}'.")


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; a warning counts and names what else there is."""
    files = without_others((PurePosixPath(file.name) for file in folder.iterdir()), folder)
    if not files:
        raise UserError(f"{folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); name another, or a file.")
    return files
