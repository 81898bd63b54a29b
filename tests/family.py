"""Every shipped configuration, made so small that it trains in a second on data that is there: digits or points."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from genlib.config.run import RunConfig
from tests.conftest import CONFIGS

NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
STEPS = 4

SMALL: dict[str, Any] = {
    "hidden_sizes": [16],
    "upper_hidden_sizes": [8],
    "width": 8,
    "discriminator_width": 8,
    "group_size": 4,
    "blocks": 1,
    "latent_size": 4,
    "upper_latent_size": 3,
    "mixture_components": 3,
    "importance_samples": 3,
    "codes": 8,
    "code_size": 4,
    "residual_blocks": 1,
    "downsamplings": 1,
    "layers": 1,
    "heads": 2,
    "dropout": 0.0,
    "discriminator_steps": 2,
}


def shrunk(section: dict[str, Any]) -> dict[str, Any]:
    """A method section with every size small; what a configuration leaves to its default stays so."""
    small = {key: SMALL.get(key, value) for key, value in section.items()}
    return {key: shrunk(value) if isinstance(value, dict) else value for key, value in small.items()}


def tiny_config(name: str) -> RunConfig:
    """Two micro-batches a step, checkpoints at steps 2 and 4."""
    content = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    full = RunConfig.model_validate(content)
    data = {"source": full.data.source, "points": 200}
    if not full.data.is_points:
        data = {"source": "digits", "image_size": 8, "channels": full.data.channels, "binarize": full.data.binarize}
        data["mirror"] = full.data.mirror
        if full.data.stacked:
            data["stacked"] = 64
        if full.data.scenes:
            data |= {"scenes": 60, "image_size": 28}
    training = {"steps": STEPS, "batch_size": 16, "micro_batches": 2, "ema_half_life": 32, "device": "cpu"}
    often = {"log_every": 1, "sample_every": STEPS, "checkpoint_every": 2}
    evaluation = {**content["evaluation"], "every": None, "samples": 200}
    method = shrunk(full.method.model_dump(mode="json"))
    return RunConfig.model_validate(
        content | {"data": data, "method": method, "training": training | often, "evaluation": evaluation}
    )


def train_all(folder: Path) -> None:
    """Every one in folder/NAME, one after another in the same processes of torchrun."""
    from contextlib import ExitStack
    from functools import partial

    from torch import distributed

    from genlib.data.making.prepare import prepare
    from genlib.runtime.ranks import on_first_process
    from genlib.training.train import make_accelerator, open_run, train_in

    accelerator = make_accelerator(tiny_config(NAMES[0]))
    for name in NAMES:
        config = tiny_config(name)
        dataset = prepare(config.data)
        with ExitStack() as stack:
            opened = partial(open_run, config, folder / name, dataset, accelerator.num_processes, stack)
            train_in(on_first_process(opened), dataset, accelerator, None)
    distributed.destroy_process_group()


if __name__ == "__main__":
    train_all(Path(sys.argv[1]))
