"""The UCI handwritten digits that ship inside scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from genlib.data.reading.base import ImageSource, RawDataset, Rows
from genlib.data.sources import SourceOfImages

if TYPE_CHECKING:
    from genlib.data.config import DataConfig

TEST_FRACTION = 0.2


class Digits(ImageSource):
    """1,797 grey images of 8x8 pixels, of ten classes."""

    name = "digits"

    def __init__(self) -> None:
        self.identity = {"scikit-learn": version("scikit-learn")}

    def read(self, config: DataConfig, scratch: Path) -> RawDataset:
        import numpy as np
        from sklearn.datasets import load_digits

        from genlib.data.reading.splits import choose, hold_out

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 0 to 16 => 0 to 255
        labels = digits.target.astype(np.int64)
        everything = Rows("train", range(len(images)), lambda numbers: [images[number] for number in numbers], labels)
        train, test = hold_out(everything, TEST_FRACTION, by_class=False)
        chosen, held = choose({"train": train, "test": replace(test, split="test")}, config)
        return RawDataset(chosen, held, [str(name) for name in digits.target_names])


DIGITS = SourceOfImages(
    name="digits",
    description="1,797 handwritten digits of 8x8 pixels, which ship inside scikit-learn",
    opened_by=lambda config, cache, progress: Digits(),
)
