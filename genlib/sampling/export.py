"""A sampler as a folder: weights.safetensors, and config.json, which says what they are the weights of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genlib.config.run import RunConfig
from genlib.sampling.sampler import TrainedSampler
from genlib.storage.files import whole_folder, write_json
from genlib.storage.tensors import write_tensors


def export_sampler(
    folder: Path, sampler: TrainedSampler, config: RunConfig, names: list[str] | None, info: dict[str, Any]
) -> None:
    """Write weights.safetensors and config.json, the whole folder or nothing; a former export is replaced.

    OSError where the disk does not take it.
    """
    description: dict[str, Any] = {
        "method": config.method.model_dump(mode="json"),
        "condition": config.condition.model_dump(mode="json"),
        "image_shape": list(sampler.image_shape),
        "label_names": names,
        "scene_names": sampler.condition.names if sampler.condition else None,
        "label_shares": sampler.label_shares,
    }
    with whole_folder(folder) as partial:
        digest = write_tensors(partial / "weights.safetensors", sampler.module.state_dict())
        write_json(partial / "config.json", description | {"info": {**info, "weights_sha256": digest}})
