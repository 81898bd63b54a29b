"""The UCI handwritten digits that ship inside scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genlib.config.data import DataConfig

if TYPE_CHECKING:
    pass
from genlib.data.reading.base import ImageSource, RawDataset, Rows, choose, hold_out


class Digits(ImageSource):
    """The UCI handwritten digits that ship inside scikit-learn: 1,797 grey images of 8x8 pixels."""

    name = "digits"
    TEST_FRACTION = 0.2

    def __init__(self) -> None:
        self.identity = {"scikit-learn": version("scikit-learn")}

    def read(self, config: DataConfig, scratch: Path) -> RawDataset:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 0 to 16 => 0 to 255
        labels = digits.target.astype(np.int64)
        everything = Rows("train", range(len(images)), lambda numbers: [images[number] for number in numbers], labels)
        train, test = hold_out(everything, self.TEST_FRACTION, by_class=False)
        chosen, held = choose({"train": train, "test": replace(test, split="test")}, config)
        return RawDataset(chosen, held, [str(name) for name in digits.target_names])
