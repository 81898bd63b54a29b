"""Features of DINOv2, and the checks of its weights that need no torch."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from genlib.config.extractors import ExtractorConfig
from genlib.errors import UserError
from genlib.storage.files import read_json

if TYPE_CHECKING:
    import torch

    from genlib.config.training import EvaluationConfig
    from genlib.data.folder import DatasetFolder, Manifest
    from genlib.evaluation.features import Extractor
    from genlib.evaluation.scoring.processes import Processes

CONFIG, WEIGHTS = "config.json", "model.safetensors"
WHAT_IT_TAKES = (
    f"name a folder with {CONFIG} and {WEIGHTS} of a Dinov2Model, or one on the Hugging Face hub, such as "
    "facebook/dinov2-large"
)


class Dinov2Config(ExtractorConfig):
    """DINOv2's class token (Oquab et al. 2023; Stein et al. 2023), from evaluation.dinov2_weights."""

    name: Literal["dinov2"] = "dinov2"
    frechet: ClassVar[str] = "fd_dinov2"
    kernel: ClassVar[str] = "kd_dinov2"
    title: ClassVar[str] = "dinov2"

    def check(self, asked: EvaluationConfig) -> None:
        check_dinov2(asked.dinov2_weights)

    def dimensions(self, asked: EvaluationConfig, manifest: Manifest) -> int | None:
        """None for a name on the hub."""
        return dinov2_features(asked.dinov2_weights)

    def build(
        self, asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
    ) -> Extractor:
        from genlib.evaluation.extractors.dinov2.network import dinov2_extractor

        return dinov2_extractor(asked.dinov2_weights, asked.dinov2_revision).to(device)


def check_dinov2(weights: str) -> None:
    """UserError where the package is missing, or a local folder holds no DINOv2 model; a hub name is not looked up."""
    if find_spec("transformers") is None:
        raise UserError("DINOv2 needs the package transformers; pip install 'genlib[dinov2]'.")
    if not is_hub_name(weights):
        read_config(Path(weights).expanduser(), weights)


def dinov2_features(weights: str) -> int | None:
    """Number of features of a local folder's model; None for a hub name, whose configuration is not here."""
    if is_hub_name(weights):
        return None
    return int(read_config(Path(weights).expanduser(), weights)["hidden_size"])


def is_hub_name(weights: str) -> bool:
    """owner/name, where nothing here has that path."""
    return bool(re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", weights)) and not Path(weights).exists()


def read_config(folder: Path, weights: str) -> dict[str, Any]:
    """The configuration of the DINOv2 model in a folder, called `weights` by the user; UserError if it holds none."""
    if not folder.is_dir():
        raise UserError(f"the DINOv2 weights '{weights}' are neither a folder here nor owner/name; {WHAT_IT_TAKES}.")
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"the DINOv2 weights '{weights}' lack {' and '.join(missing)}; {WHAT_IT_TAKES}.")
    try:
        config = read_json(folder / CONFIG)
        kind, size = config["model_type"], config["hidden_size"]
    except (ValueError, KeyError, TypeError) as error:  # no JSON, or JSON of something else
        raise UserError(f"{folder / CONFIG} does not describe a DINOv2 model; {WHAT_IT_TAKES}.") from error
    if kind != "dinov2" or not isinstance(size, int):
        raise UserError(f"{folder / CONFIG} describes a '{kind}' model, not a 'dinov2' one; {WHAT_IT_TAKES}.")
    return dict(config)
