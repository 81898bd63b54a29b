"""What a run depends on, typed: YAML and `--set a.b=value` overrides in, one validated RunConfig out.

Configuration stops here: networks, losses and methods take plain arguments. Free of torch, so that bad input is
answered at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from genlib.config.base import Section
from genlib.config.condition_rules import CONDITION_RULES
from genlib.config.conditions import (
    CaptionCondition,
    ConditionConfig,
    GreyscaleCondition,
    ImageCondition,
    LabelCondition,
    LowResolutionCondition,
    MaskedCondition,
    NoCondition,
)
from genlib.config.data import MIXTURES, POINTS, DataConfig
from genlib.config.launcher import (
    KubernetesLauncher,
    LauncherConfig,
    ProcessLauncher,
    SlurmLauncher,
    TorchrunLauncher,
)
from genlib.config.methods import (
    ADAConfig,
    AutoencoderConfig,
    BetaTCConfig,
    CodePriorConfig,
    DiffAugmentConfig,
    GANConfig,
    GradientPenaltySection,
    HierarchicalVAEConfig,
    IWAEConfig,
    KLConfig,
    MethodConfig,
    MMDConfig,
    OptimizerConfig,
    VAEConfig,
    VAEGANConfig,
    VQVAEConfig,
    WeightClippingConfig,
)
from genlib.config.metrics import DISTANCES, KERNEL_DISTANCES, LIKELIHOODS, METRICS, OF_HELD_OUT, RECONSTRUCTIONS
from genlib.config.networks import DCGANConfig, MLPConfig, NetworkConfig, R3GANConfig, ResNetConfig, UNetConfig
from genlib.config.rules import RULES
from genlib.config.training import EvaluationConfig, RegistryConfig, TrainingConfig, check_divisible
from genlib.errors import UserError
from genlib.validation import one_line, ordered, quoted, set_key, shortened, validated
from genlib.yaml_text import LARGEST_TEXT, NOT_YAML, read_yaml, write_yaml

__all__ = [
    "ADAConfig",
    "AutoencoderConfig",
    "BetaTCConfig",
    "CONDITION_RULES",
    "CaptionCondition",
    "CodePriorConfig",
    "ConditionConfig",
    "DCGANConfig",
    "DISTANCES",
    "DataConfig",
    "DiffAugmentConfig",
    "EvaluationConfig",
    "GANConfig",
    "GradientPenaltySection",
    "GreyscaleCondition",
    "HierarchicalVAEConfig",
    "IWAEConfig",
    "ImageCondition",
    "KERNEL_DISTANCES",
    "KLConfig",
    "KubernetesLauncher",
    "LIKELIHOODS",
    "LabelCondition",
    "LowResolutionCondition",
    "METRICS",
    "MIXTURES",
    "MLPConfig",
    "MMDConfig",
    "MaskedCondition",
    "MethodConfig",
    "NetworkConfig",
    "NoCondition",
    "OptimizerConfig",
    "POINTS",
    "ProcessLauncher",
    "R3GANConfig",
    "RECONSTRUCTIONS",
    "RULES",
    "RegistryConfig",
    "ResNetConfig",
    "RunConfig",
    "Section",
    "SlurmLauncher",
    "TorchrunLauncher",
    "TrainingConfig",
    "UNetConfig",
    "VAEConfig",
    "VAEGANConfig",
    "VQVAEConfig",
    "WeightClippingConfig",
    "check_divisible",
    "load_config",
    "load_saved_config",
    "to_yaml",
]


class RunConfig(Section):
    """One complete run: dataset, condition, method, training, evaluation, registration, and the machines."""

    data: DataConfig = DataConfig()
    condition: ConditionConfig = NoCondition()
    method: MethodConfig
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registry: RegistryConfig
    launcher: LauncherConfig = ProcessLauncher()

    @model_validator(mode="after")
    def makes_sense(self) -> Self:
        for rule in (*RULES, *CONDITION_RULES):
            if broken := rule(self):
                raise ValueError(broken)
        return self

    @property
    def held_back(self) -> float:
        """Share of the train split that training leaves out, to choose the best checkpoint by; 0 where a checkpoint is
        chosen by samples alone, or none is.
        """
        return self.data.validation_fraction if self.evaluation.every and self.chooses_by_held_out_images else 0.0

    @property
    def chooses_by_held_out_images(self) -> bool:
        """Whether the gate's metric is computed on held-out images, or on samples that have them as conditions."""
        return self.registry.metric in OF_HELD_OUT or self.condition.name not in ("none", "label")


def load_config(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> RunConfig:
    """Read one YAML file, apply overrides such as `training.steps=100` or {"training.steps": 100}, validate.

    UserError says what to mend.
    """
    path = Path(path)
    try:
        content = read_yaml(text_of(path))
    except (OSError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or error
        name = shortened(str(path))
        raise UserError(
            one_line(f"configuration {name}: {reason}; name a YAML file, such as configs/vae_digits.yaml.")
        ) from error
    except NOT_YAML as error:
        raise UserError(one_line(f"configuration {path} cannot be read: {shortened(str(error), 400)}.")) from error
    if not isinstance(content, dict):
        given = f"configuration {path} must hold sections such as data and method, not {quoted(content)}."
        raise UserError(one_line(given))
    for key, value in ordered(overrides):
        set_key(content, key, value)
    return validated(RunConfig, content, str(path))


def text_of(path: Path) -> str:
    """The whole of a file of UTF-8; OSError or ValueError where that is not what it is."""
    with path.open("rb") as file:
        content = file.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"it has more than {LARGEST_TEXT:,} bytes, which no configuration needs; name another file")
    return content.decode()


def load_saved_config(path: Path) -> RunConfig:
    """The configuration that a run saved. One from before data.validation_fraction existed was trained on the whole
    train split, and stays so.
    """
    config = load_config(path)
    if "validation_fraction" in config.data.model_fields_set:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"validation_fraction": 0.0})})


def to_yaml(config: RunConfig) -> str:
    """The complete configuration, defaults included, as YAML that load_config reads back."""
    return write_yaml(config.model_dump(mode="json"))
