"""The training, evaluation and registry sections."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from genlib.choices.choice import Chosen
from genlib.choices.section import LARGEST_WEIGHT, MOST_DRAWS, MOST_STEPS, Section
from genlib.config.extractors import ExtractorConfig
from genlib.config.metrics import gate_metrics
from genlib.errors import did_you_mean, quoted

MOST_IMAGES = 2**20  # of a batch
MOST_PROCESSES = 100_000
MOST_THREADS = 4096
MOST_SAMPLES = 10**7  # of an evaluation


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


def is_count(value: object, most: int) -> bool:
    """Whether this is a whole number from 1 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def are_changes(threads: object) -> bool:
    """Whether these are pairs of a step and of the number of threads from there on, the first of step 0."""
    pairs = threads if isinstance(threads, list) else []
    if not all(isinstance(pair, list) and len(pair) == 2 and is_count(pair[1], MOST_THREADS) for pair in pairs):
        return False
    steps = [pair[0] for pair in pairs]
    later = all(is_count(step, MOST_STEPS) for step in steps[1:])
    return later and steps[:1] == [0] and steps == sorted(set(steps))


class TrainingConfig(Section):
    """Length, numerics, averaging, checkpoints and faults of a training."""

    steps: int = Field(1000, ge=1, le=MOST_STEPS, description="Turns of the whole loop, every phase included")
    batch_size: int = Field(
        128, ge=1, le=MOST_IMAGES, description="Images of one turn, over all processes and micro-batches"
    )
    micro_batches: int | None = Field(
        None, ge=1, le=MOST_IMAGES, description="Equal parts of a batch; null: one for each process"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of weights, batches and all draws")
    precision: Literal["float32", "bf16"] = Field("float32", description="bf16: matrix products in bfloat16")
    compile: bool = Field(False, description="Compile the losses by torch.compile: slower to start, faster after")
    cuda_graphs: bool = Field(False, description="A phase's turn in one call: for small models on one GPU")
    channels_last: bool = Field(False, description="Images in memory with the channels last, faster on some GPUs")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: a GPU where there is one")
    threads: (
        Annotated[int, Field(ge=1, le=MOST_THREADS)] | list[list[Annotated[int, Field(ge=0, le=MOST_STEPS)]]] | None
    ) = Field(
        None,
        description="Number of CPU threads of a process, or pairs of the step from which a number holds, from 0, and "
        "the number; null: OMP_NUM_THREADS, or as many as other programs leave free",
    )
    processes: Annotated[int, Field(ge=1, le=MOST_PROCESSES)] | Literal["auto"] = Field(
        1, description="Number of processes that the pipeline starts, on all nodes; auto: one for each GPU"
    )
    gradient_clip: float | None = Field(
        None, gt=0, le=LARGEST_WEIGHT, description="Largest gradient norm of a phase; null: any"
    )
    ema_half_life: float = Field(
        10_000, ge=0, le=1e12, description="Half-life of the moving average of the weights, in images; 0: no averaging"
    )
    resident_gib: float = Field(4.0, ge=0, le=1e6, description="Larger train splits stream from the memory-mapped file")
    log_every: int = Field(50, ge=1, le=MOST_STEPS, description="Steps between lines of metrics.jsonl")
    sample_every: int = Field(500, ge=1, le=MOST_STEPS, description="Steps between grids of samples")
    checkpoint_every: int = Field(500, ge=1, le=MOST_STEPS, description="Steps between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, le=MOST_STEPS, description="The newest checkpoints stay")
    bad_steps: int = Field(
        10,
        ge=0,
        le=MOST_STEPS,
        description="NaN or infinite updates tolerated in a window of 100 steps; more: a rollback",
    )
    rollbacks: int = Field(3, ge=0, le=10_000, description="Returns to a checkpoint before the run ends as diverged")
    rollback_learning_rate: float = Field(1.0, gt=0, le=1, description="Factor on learning rates at each rollback")
    on_collapse: Literal["warn", "stop"] = Field("warn", description="Reaction to signs of collapse")
    collapse_steps: int = Field(1000, ge=1, le=MOST_STEPS, description="Steps that a sign of collapse must last")
    max_restarts: int = Field(
        3, ge=0, le=10_000, description="Number of times that the pipeline starts a training again that died"
    )
    timeout: float = Field(1800, ge=1, le=2_592_000, description="Seconds that a process waits for the others")

    @field_validator("processes", mode="before")
    @classmethod
    def counts_or_is_auto(cls, processes: object) -> object:
        if processes == "auto":
            return processes
        if is_count(processes, MOST_PROCESSES):
            return processes
        raise ValueError(
            f"{quoted(processes)} must be a whole number from 1 to {MOST_PROCESSES}, or auto for one process a GPU"
        )

    @field_validator("threads", mode="before")
    @classmethod
    def numbers_of_threads(cls, threads: object) -> object:
        if threads is None or is_count(threads, MOST_THREADS) or are_changes(threads):
            return threads
        raise ValueError(
            f"{quoted(threads)} must be a whole number from 1 to {MOST_THREADS}, or pairs of a step and a number, in "
            "the order of their steps, the first of step 0, such as [[0, 4], [1200, 2]]"
        )

    @model_validator(mode="after")
    def divisible(self) -> Self:
        """Parts must be equal, or the average over them would not be the batch's."""
        check_divisible(self.batch_size, self.parts, 1 if self.processes == "auto" else self.processes)
        if self.cuda_graphs and self.parts > 1:
            raise ValueError(
                f"training.cuda_graphs is for one process and one micro-batch, not {self.parts}; set both to 1, or "
                "leave it out."
            )
        return self

    @property
    def parts(self) -> int:
        """Micro-batches as far as they are known: auto is checked again once it is a number."""
        return self.micro_batches or (1 if self.processes == "auto" else self.processes)


class EvaluationConfig(Section):
    """Features, samples and test images of an evaluation, and evaluations during training."""

    samples: int = Field(10_000, ge=2, le=MOST_SAMPLES, description="Images drawn from the sampler for each seed")
    seed: int = Field(0, ge=0, lt=2**31, description="The first sampling seed")
    seeds: int = Field(
        3, ge=1, le=1000, description="Sampling seeds, over which mean and standard deviation are reported"
    )
    features: Chosen[ExtractorConfig] = Field(
        "classifier",
        validate_default=True,
        description="Features by which images are compared; points in the plane by themselves",
    )
    inception_weights: Path | None = Field(
        None, strict=False, description="TF-Inception weights file, for features: inception"
    )
    inception_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of inception_weights, in lower case"
    )
    dinov2_weights: str = Field("facebook/dinov2-large", description="Folder or hub name, for features: dinov2")
    dinov2_revision: str | None = Field(None, description="Commit, tag or branch of hub weights")
    neighbours: int = Field(5, ge=1, le=10_000, description="k of precision, recall, density and coverage")
    likelihood_samples: int = Field(
        5000, ge=1, le=MOST_DRAWS, description="Importance samples of an image's log-likelihood"
    )
    likelihood_images: int | None = Field(
        None, ge=2, le=MOST_SAMPLES, description="Test images of the likelihood; null: all"
    )
    samples_per_condition: int = Field(4, ge=2, le=1000, description="Samples for the condition of each test image")
    batch_size: int = Field(256, ge=1, le=MOST_IMAGES, description="Images in one pass through a network")
    every: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="Steps between evaluations during training; null: none"
    )
    every_samples: int = Field(2000, ge=2, le=MOST_SAMPLES, description="Images of an evaluation during training")
    checkpoint: Literal["last", "best"] = Field("last", description="Checkpoint that is evaluated and registered")

    @model_validator(mode="after")
    def best_needs_evaluations(self) -> Self:
        if self.checkpoint == "best" and self.every is None:
            raise ValueError(
                "evaluation.checkpoint is 'best', which is found by evaluations during training; set evaluation.every."
            )
        return self


class RegistryConfig(Section):
    """Registered model, and the gate that its versions pass."""

    model: str = Field(max_length=100, description="Registered model and MLflow experiment; names the run folders")
    metric: str = Field("fd_classifier", description="Metric that decides between champion and challenger")
    margin: float = Field(0.0, ge=0, le=LARGEST_WEIGHT, description="Difference by which a challenger must be better")
    baseline: Literal["ignore", "warn", "require"] = Field(
        "warn",
        description="Treatment of a version that is not better than the baseline, a Gaussian mixture of the train "
        "split; warn: the gate says so; require: it does not become champion",
    )

    @field_validator("model")
    @classmethod
    def names_a_folder(cls, model: str) -> str:
        if not re.fullmatch(r"\w[\w .-]*", model, re.ASCII):
            raise ValueError(
                f"{quoted(model)} must be letters, digits, '_', '-', '.' and spaces, which MLflow and file systems "
                "take, the first a letter, digit or '_'; use such as digits-vae"
            )
        return model

    @field_validator("metric")
    @classmethod
    def known(cls, metric: str) -> str:
        known = gate_metrics()
        if metric not in known:
            raise ValueError(f"{quoted(metric)} is no metric{did_you_mean(metric, known)}; known: {', '.join(known)}")
        return metric
