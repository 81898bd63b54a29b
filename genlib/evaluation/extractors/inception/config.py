"""Features of TF-Inception, over which the Fréchet distance is the FID."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.choices.choice import rule
from genlib.config.extractors import ExtractorConfig
from genlib.errors import UserError
from genlib.storage.files import sha256_of_file

if TYPE_CHECKING:
    import torch

    from genlib.config.run import RunConfig
    from genlib.config.training import EvaluationConfig
    from genlib.data.folder import DatasetFolder
    from genlib.evaluation.features import Extractor
    from genlib.evaluation.scoring.processes import Processes

PUBLISHED_FILE = "pt_inception-2015-12-05-6726825d.pth"
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
WHERE_TO_GET_IT = (
    f"get {PUBLISHED_FILE} (SHA-256 {PUBLISHED_SHA256}) from the release 'fid_weights' of the GitHub project "
    "mseitzer/pytorch-fid and set evaluation.inception_weights and evaluation.inception_sha256"
)


class InceptionConfig(ExtractorConfig):
    """TF-Inception's pool3 (Szegedy et al. 2015; Heusel et al. 2017), from evaluation.inception_weights."""

    name: Literal["inception"] = "inception"
    frechet: ClassVar[str] = "fid"
    kernel: ClassVar[str] = "kid"
    title: ClassVar[str] = "Inception"
    num_features: ClassVar[int | None] = 2048

    def check(self, asked: EvaluationConfig) -> None:
        assert asked.inception_weights and asked.inception_sha256  # RunConfig sees to it
        check_weights_file(asked.inception_weights, asked.inception_sha256)

    def build(
        self, asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
    ) -> Extractor:
        from genlib.evaluation.extractors.inception.network import inception_extractor

        assert asked.inception_weights and asked.inception_sha256
        return inception_extractor(asked.inception_weights, asked.inception_sha256).to(device)

    @rule
    def names_its_file(self, run: RunConfig, key: str) -> str | None:
        """evaluation.features: inception needs its weights' file and hash."""
        if run.evaluation.inception_weights and run.evaluation.inception_sha256:
            return None
        return (
            f"{key} is 'inception', which needs evaluation.inception_weights and evaluation.inception_sha256: the file "
            "of TF-Inception weights and its SHA-256."
        )


def check_weights_file(weights: Path, sha256: str) -> None:
    """UserError if the file is absent or has another hash."""
    if not weights.is_file():
        raise UserError(f"evaluation.inception_weights ({weights}) is no file; {WHERE_TO_GET_IT}.")
    found = sha256_of_file(weights)
    if found != sha256:
        raise UserError(
            f"{weights} has the SHA-256 {found}, but evaluation.inception_sha256 is {sha256}; {WHERE_TO_GET_IT}."
        )
