"""What a run depends on, typed: YAML and `--set a.b=value` overrides in, one validated RunConfig out.

Configuration stops here: networks, losses and methods take plain arguments. Free of torch, so that bad input is
answered at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from genlib.errors import UserError
from genlib.sizes import doublings, nearest_sizes
from genlib.validation import apply_override, did_you_mean, validated

# What the distances over each kind of features are called; only TF-Inception's are the FID and the KID.
DISTANCES = {"classifier": "fd_classifier", "random": "fd_random", "inception": "fid", "dinov2": "fd_dinov2"}
KERNEL_DISTANCES = {"classifier": "kd_classifier", "random": "kd_random", "inception": "kid", "dinov2": "kd_dinov2"}
LIKELIHOODS: dict[str, Literal["lower", "higher"]] = {
    "elbo": "higher",
    "log_likelihood": "higher",
    "bits_per_dim": "lower",
    "psnr": "higher",
    "ssim": "higher",
}
# Every metric that a model can be gated on, and which way is better.
METRICS: dict[str, Literal["lower", "higher"]] = {
    **dict.fromkeys((*DISTANCES.values(), *KERNEL_DISTANCES.values()), "lower"),
    **{f"{name}_infinity": "lower" for name in DISTANCES.values()},
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "authpct": "higher",
    "class_kl": "lower",
    "modes": "higher",
    **LIKELIHOODS,
}


def check_divisible(batch_size: int, micro_batches: int, processes: int) -> None:
    """ValueError unless the batch falls into equal micro-batches, and these evenly onto the processes."""
    if batch_size % micro_batches:
        lower = batch_size // micro_batches * micro_batches
        raise ValueError(
            f"training.batch_size ({batch_size}) must be divisible by the number of micro-batches ({micro_batches}); "
            f"use {lower or micro_batches}."
        )
    if micro_batches % processes:
        raise ValueError(
            f"training.micro_batches ({micro_batches}) must be divisible by the number of processes ({processes}); "
            f"use {-(-micro_batches // processes) * processes}."
        )


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Which images: every field is part of the prepared folder's name."""

    source: str = Field("digits", description="'digits', a Hugging Face hub name, or a local folder or Parquet file")
    revision: str | None = Field(None, description="Commit, tag or branch of a hub dataset")
    subset: str | None = Field(None, description="Configuration name of a hub dataset that has several")
    train_split: str = "train"
    test_split: str | None = Field("test", description="null: hold out test_fraction of the train split")
    test_fraction: float = Field(0.1, gt=0, lt=1, description="Share held out when test_split is null")
    image_column: str | None = Field(None, description="null: the only column of type Image")
    label_column: str | None = Field(None, description="null: the only column of type ClassLabel, if there is one")
    image_size: int = Field(32, ge=8, le=128, description="Height and width in pixels")
    channels: Literal[1, 3] = 3
    on_corrupt: Literal["error", "skip"] = "error"

    @field_validator("source")
    @classmethod
    def absolute_if_local(cls, source: str) -> str:
        path = Path(source).expanduser()
        return str(path.resolve()) if source != "digits" and path.exists() else source


class MLPConfig(Section):
    name: Literal["mlp"] = "mlp"
    hidden_sizes: list[Annotated[int, Field(ge=1)]] = Field([512], min_length=1, description="From image to latent")


class DCGANConfig(Section):
    """Radford et al. 2015."""

    name: Literal["dcgan"] = "dcgan"
    width: int = Field(64, ge=1, description="Channels at the highest resolution; they double at each halving")


NetworkConfig = Annotated[MLPConfig | DCGANConfig, Field(discriminator="name")]


class OptimizerConfig(Section):
    """Adam (Kingma & Ba 2015), its weight decay decoupled (Loshchilov & Hutter 2019)."""

    learning_rate: float = Field(1e-3, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)


class VAEConfig(Section):
    """Variational autoencoder (Kingma & Welling 2014)."""

    name: Literal["vae"] = "vae"
    network: NetworkConfig = MLPConfig()
    latent_size: int = Field(16, ge=1)
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    sigma: float = Field(0.2, gt=0, description="Gaussian decoder's standard deviation, on the scale of [-1, 1]")
    optimizer: OptimizerConfig = OptimizerConfig()


GAN_OPTIMIZER = OptimizerConfig(learning_rate=2e-4, beta1=0.5)  # Radford et al. 2015, section 4


class GANConfig(Section):
    """Generative adversarial network (Goodfellow et al. 2014)."""

    name: Literal["gan"] = "gan"
    network: NetworkConfig = DCGANConfig()
    latent_size: int = Field(100, ge=1)
    loss: Literal["minimax", "non_saturating", "least_squares", "hinge", "relativistic"] = "non_saturating"
    discriminator_steps: int = Field(1, ge=1, description="Algorithm 1's k")
    generator_optimizer: OptimizerConfig = GAN_OPTIMIZER
    discriminator_optimizer: OptimizerConfig = GAN_OPTIMIZER


MethodConfig = Annotated[VAEConfig | GANConfig, Field(discriminator="name")]


class TrainingConfig(Section):
    steps: int = Field(1000, ge=1, description="Turns of the whole loop, every phase included")
    batch_size: int = Field(128, ge=1, description="Images of one turn, over all processes and micro-batches")
    micro_batches: int | None = Field(None, ge=1, description="Equal parts of a batch; null: one for each process")
    seed: int = Field(0, ge=0, lt=2**31)
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    channels_last: bool = False
    device: Literal["auto", "cpu"] = "auto"
    processes: int = Field(1, ge=1, description="Processes that the pipeline starts")
    gradient_clip: float | None = Field(None, gt=0, description="Largest gradient norm of a phase")
    ema_half_life: float = Field(10_000, ge=0, description="In images; 0: no averaging")
    resident_gib: float = Field(4.0, ge=0, description="Larger train splits stream from the memory-mapped file")
    log_every: int = Field(50, ge=1, description="Steps")
    sample_every: int = Field(500, ge=1, description="Steps")
    checkpoint_every: int = Field(500, ge=1, description="Steps")
    keep_checkpoints: int = Field(2, ge=1)

    @model_validator(mode="after")
    def divisible(self) -> Self:
        """Parts must be equal, or the average over them would not be the batch's."""
        micro_batches = self.micro_batches or self.processes
        check_divisible(self.batch_size, micro_batches, self.processes)
        return self


class EvaluationConfig(Section):
    samples: int = Field(10_000, ge=2, description="Images drawn from the sampler for each seed")
    seed: int = Field(0, ge=0, lt=2**31, description="The first sampling seed")
    seeds: int = Field(3, ge=1, description="Sampling seeds, over which mean and standard deviation are reported")
    features: Literal["classifier", "random", "inception", "dinov2"] = "classifier"
    inception_weights: Path | None = Field(None, description="TF-Inception weights file, for features: inception")
    inception_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    dinov2_weights: str = Field("facebook/dinov2-large", description="Folder or hub name, for features: dinov2")
    dinov2_revision: str | None = Field(None, description="Commit, tag or branch of hub weights")
    neighbours: int = Field(5, ge=1, description="k of precision, recall, density and coverage")
    likelihood_samples: int = Field(5000, ge=1, description="Importance samples of an image's log-likelihood")
    likelihood_images: int | None = Field(None, ge=2, description="Test images of the likelihood; null: all")
    batch_size: int = Field(256, ge=1, description="Images in one pass through a network")
    every: int | None = Field(None, ge=1, description="Steps between evaluations during training; null: none")
    every_samples: int = Field(2000, ge=2, description="Images of an evaluation during training")
    checkpoint: Literal["last", "best"] = Field("last", description="Whose sampler is judged and registered")

    @model_validator(mode="after")
    def best_needs_evaluations(self) -> Self:
        if self.checkpoint == "best" and self.every is None:
            raise ValueError(
                "evaluation.checkpoint is 'best', which is found by evaluations during training; set evaluation.every."
            )
        return self


class RegistryConfig(Section):
    model: str = Field(min_length=1, pattern=r"^[^/:]+$", description="Registered model and MLflow experiment")
    metric: str = Field("fd_classifier", description="What decides between champion and challenger")
    margin: float = Field(0.0, ge=0, description="How much better a challenger must be")

    @field_validator("metric")
    @classmethod
    def known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"'{metric}' is no metric{did_you_mean(metric, METRICS)}; known: {', '.join(METRICS)}")
        return metric


class RunConfig(Section):
    """One complete run: dataset, method, training, evaluation and registration."""

    data: DataConfig = DataConfig()
    method: MethodConfig
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registry: RegistryConfig

    @model_validator(mode="after")
    def strides_reach_the_image_size(self) -> Self:
        size = self.data.image_size
        if self.method.network.name == "dcgan" and doublings(size) is None:
            choices = " or ".join(map(str, nearest_sizes(size)))
            raise ValueError(
                f"data.image_size ({size}) cannot be made by dcgan's strides, which double 4 to 7 pixels; "
                f"use {choices}."
            )
        return self

    @model_validator(mode="after")
    def inception_names_its_file(self) -> Self:
        evaluation = self.evaluation
        if evaluation.features == "inception" and not (evaluation.inception_weights and evaluation.inception_sha256):
            raise ValueError(
                "evaluation.features is 'inception', which needs evaluation.inception_weights and "
                "evaluation.inception_sha256: the file of TF-Inception weights and its SHA-256."
            )
        return self

    @model_validator(mode="after")
    def metric_is_measured(self) -> Self:
        metric, features = self.registry.metric, self.evaluation.features
        measured = {DISTANCES[features], f"{DISTANCES[features]}_infinity", KERNEL_DISTANCES[features], "fd_random"}
        of_features = {name for name in METRICS if name.startswith(("fd_", "kd_", "fid", "kid"))}
        if metric in of_features - measured:
            raise ValueError(
                f"registry.metric ({metric}) is not measured by evaluation.features '{features}'; "
                f"use {DISTANCES[features]}."
            )
        if metric in LIKELIHOODS and self.method.name == "gan":
            raise ValueError(
                f"registry.metric ({metric}) needs an encoder and a likelihood, which a gan has not; use another."
            )
        if metric == "bits_per_dim" and self.method.name == "vae" and self.method.likelihood == "bernoulli":
            raise ValueError(
                "registry.metric (bits_per_dim) needs a density over pixels, which method.likelihood 'bernoulli' is "
                "not; use log_likelihood."
            )
        return self


def load_config(path: str | Path, overrides: list[str] | None = None) -> RunConfig:
    """Read one YAML file, apply overrides such as `training.steps=100`, validate. UserError says what to mend."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(
            f"configuration {path}: {error.strerror}; name a YAML file, such as configs/vae_digits.yaml."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"configuration {path} is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise UserError(f"configuration {path} must hold sections such as data and method, not {content!r}.")
    for override in overrides or []:
        apply_override(content, override)
    return validated(RunConfig, content, str(path))


def to_yaml(config: RunConfig) -> str:
    """The complete configuration, defaults included, as YAML that load_config reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
