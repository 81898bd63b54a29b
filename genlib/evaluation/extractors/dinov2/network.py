"""DINOv2 (Oquab et al. 2023), whose features rank images more as people do than Inception's (Stein et al. 2023)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlib.errors import UserError
from genlib.evaluation.extractors.dinov2.config import (
    CONFIG,
    WEIGHTS,
    WHAT_IT_TAKES,
    check_dinov2,
    is_hub_name,
    read_config,
)
from genlib.evaluation.features import Extractor

INPUT_SIZE = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def preprocess(images: Tensor) -> Tensor:
    """uint8 (N, 1 or 3, H, W) => float32 (N, 3, 224, 224), of ImageNet's mean and deviation.

    The resize is bicubic and antialiased, as Pillow's of images of mode F: not rounded in between.
    """
    resized = F.interpolate(images.float(), (INPUT_SIZE, INPUT_SIZE), mode="bicubic", antialias=True)
    unit = resized.clamp(0, 255).expand(-1, 3, -1, -1) / 255  # bicubic overshoots at edges
    mean, std = (unit.new_tensor(values).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (unit - mean) / std


class Dinov2(nn.Module):
    """uint8 (N, 1 or 3, H, W) => the class token after the last layer norm, float32 (N, hidden_size)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(pixel_values=preprocess(images)).pooler_output


def dinov2_extractor(weights: str, revision: str | None) -> Extractor:
    """The DINOv2 extractor from a local folder, or from the hub at this revision (its newest commit if None).

    UserError if the package transformers is missing, the hub out of reach, or the weights are something else.
    """
    check_dinov2(weights)
    commit = None
    if is_hub_name(weights):
        folder = downloaded(weights, revision)
        commit = folder.name
    elif revision:
        raise UserError(f"'{weights}' is a folder here, which has no revision '{revision}'; leave the revision out.")
    else:
        folder = Path(weights).expanduser()
    config = read_config(folder, weights)
    model = load(folder, weights)
    facts = {
        "layer": "class token after the last layer norm",
        "resize": f"bicubic to {INPUT_SIZE}, antialiased, in float32",
        "weights": weights,
        "revision": commit,
    }
    return Extractor("dinov2", Dinov2(model), config["hidden_size"], hash_of(folder), facts)


def hash_of(folder: Path) -> str:
    """SHA-256 of the configuration's bytes and the weights' after them."""
    digest = hashlib.sha256((folder / CONFIG).read_bytes())
    with (folder / WEIGHTS).open("rb") as file:
        hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def downloaded(name: str, revision: str | None) -> Path:
    """The snapshot in the local Hugging Face cache, named by its commit; out of reach of the hub, what is cached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))
    except GatedRepoError as error:
        raise UserError(
            f"hub model {name} is gated; accept its terms at its page, then log in with hf auth login."
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"hub model {name} has no revision '{revision}'; name another.") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"the DINOv2 weights '{name}' are neither a folder here nor a model on the Hugging Face hub (a private one "
            f"needs hf auth login); {WHAT_IT_TAKES}."
        ) from error
    except Exception as error:  # which one depends on the HTTP library and on what lies between
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"the DINOv2 weights '{name}' are no folder here nor in the local Hugging Face cache, and the hub cannot "
            f"be reached ({reason}); mend the connection, or name a folder with {CONFIG} and {WEIGHTS}."
        ) from error


def load(folder: Path, weights: str) -> nn.Module:
    """The model in float32; UserError unless the weights are the configuration's, one for one."""
    dinov2_model = import_module("transformers").Dinov2Model  # optional, so that mypy may not find it
    # The attention is named, so that another version of the package cannot choose another; the weights of a
    # half-precision file are widened.
    with quiet():
        try:
            model, loading = dinov2_model.from_pretrained(
                str(folder),
                dtype=torch.float32,
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # told below, by name
                output_loading_info=True,
            )
        except Exception as error:  # Whatever the package meets in files that are something else.
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"the DINOv2 weights '{weights}' cannot be loaded ({type(error).__name__}: {reason}); {WHAT_IT_TAKES}."
            ) from error
    reshaped = {name for name, *_ in loading["mismatched_keys"]}
    differing = sorted(reshaped | loading["missing_keys"] | loading["unexpected_keys"])
    if differing:
        raise UserError(
            f"the DINOv2 weights '{weights}' differ from what their {CONFIG} describes in {len(differing)} tensors, "
            f"{differing[0]} first; {WHAT_IT_TAKES}."
        )
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the package's progress bar and its report of tensors that did not fit, which the errors here tell."""
    settings = import_module("transformers.utils.logging")
    verbosity, bar = settings.get_verbosity(), settings.is_progress_bar_enabled()
    settings.set_verbosity_error()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        if bar:
            settings.enable_progress_bar()
