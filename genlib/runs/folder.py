"""A run folder, which holds everything about one run."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from genlib.config.load import load_saved_config, to_yaml
from genlib.config.run import RunConfig
from genlib.errors import UserError
from genlib.runs.checkpoints import finished_checkpoints
from genlib.storage.files import Damaged, read_json, write_bytes, write_json

# Keys that steer how a run is carried out and judged, not which model comes out of it.
OPERATIONAL = {
    "processes",
    "device",
    "threads",
    "resident_gib",
    "log_every",
    "sample_every",
    "checkpoint_every",
    "keep_checkpoints",
    "on_collapse",
    "collapse_steps",
    "max_restarts",
    "timeout",
}
VALIDATION = "data.validation_fraction"
WHY_VALIDATION = (
    "training leaves that share of the train split out where evaluation.every is set and registry.metric is of "
    "held-out images"
)


class Exported(NamedTuple):
    """A model of a run: its exported sampler, and the checkpoint with the rest of it."""

    sampler: Path
    checkpoint: Path | None  # None before the first


class RunFolder:
    """runs/<name>-<id>/, the contract between training, evaluation and the pipeline."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.config_file = self.path / "config.yaml"
        self.dataset_file = self.path / "dataset.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.sampler = self.path / "sampler"
        self.best = self.path / "best"  # the best checkpoint so far, and its sampler
        self.evaluation_file = self.path / "evaluation.json"
        self.report_file = self.path / "report.html"
        self.launch = self.path / "launch"  # the files that the pipeline started the training with
        self.champion_file = self.path / "champion.json"  # the report compares with it, if it is there
        self.result_file = self.path / "result.json"

    def exists(self) -> bool:
        return self.config_file.exists()

    def config(self) -> RunConfig:
        if not self.exists():
            raise UserError(f"{self.path} is no run folder (it has no config.yaml); name one that genlib train made.")
        return load_saved_config(self.config_file)

    def metrics(self) -> list[dict[str, float]]:
        """The lines of metrics.jsonl that are whole."""
        return list(self._metrics())

    def _metrics(self) -> Iterator[dict[str, float]]:
        if self.metrics_file.exists():
            for line in self.metrics_file.read_bytes().splitlines(keepends=True):
                with suppress(ValueError, RecursionError):
                    if line.endswith(b"\n") and is_logged(content := json.loads(line)):
                        yield content

    def keep_metrics_until(self, step: int) -> None:
        """Drop the lines after a checkpoint that training goes on from."""
        kept = [line for line in self.metrics() if line["step"] <= step]
        write_bytes(self.metrics_file, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def result(self) -> dict[str, Any]:
        """The content of result.json; {} while the run goes on."""
        return read_section(self.result_file)

    def evaluation(self) -> dict[str, Any]:
        """The content of evaluation.json; {} before the evaluation."""
        return read_section(self.evaluation_file)

    def exported(self, which: Literal["last", "best"]) -> Exported:
        """The model that is evaluated and registered: the last, or the best so far, as evaluation.checkpoint says."""
        best = which == "best"
        finished = finished_checkpoints(self.best if best else self.checkpoints)
        return Exported(self.best / "sampler" if best else self.sampler, finished[-1] if finished else None)

    def write_result(self, **content: Any) -> None:
        write_json(self.result_file, content)

    def make(self) -> None:
        """Make the empty folder, if it is not there; UserError if that is impossible, or it holds something else."""
        if not self.exists() and self.path.is_dir():
            foreign = [path.name for path in self.path.iterdir() if not self._is_ours(path)]
            if foreign:
                raise UserError(f"{self.path} is no run folder, but holds {foreign[0]}; name another --run-dir.")
        with self._writing():
            for folder in (self.path, self.checkpoints, self.samples):
                folder.mkdir(parents=True, exist_ok=True)

    def start(self, config: RunConfig, dataset: dict[str, str], free: Container[str] = ()) -> None:
        """Begin the run in this folder, or go on with the one that is there; UserError if that is another one.

        The values of the dotted keys `free` may differ.
        """
        if self.exists():
            self.refuse_another(config, free)
            there = self._dataset_hash()
            if there not in (None, dataset["content_hash"]):
                raise UserError(
                    f"the dataset of {self.path} has changed since the run began (content hash {there[:12]}, now "
                    f"{dataset['content_hash'][:12]}); restore it, or start a new run folder."
                )
        with self._writing():
            write_json(self.dataset_file, dataset)
            write_bytes(self.config_file, to_yaml(config).encode())  # also on going on: operational keys may change
            self.result_file.unlink(missing_ok=True)

    @contextmanager
    def kept_in_place(self) -> Iterator[Callable[[], None]]:
        """Inside, the function raises UserError once another folder, or none, is found at the run folder's path.

        The folder is held open, so that its identity stands whatever the file system. Where the disk gives no answer
        nothing is known, and nothing is raised.
        """
        descriptor = os.open(self.path, os.O_RDONLY)

        def check() -> None:
            try:
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)) and self.exists():
                    return
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError:
                return
            raise UserError(
                f"run folder {self.path} was removed, renamed or replaced while the run trained, so nothing more of it "
                "can be kept; if it was renamed, go on with --run-dir and its new name, else train again."
            )

        try:
            yield check
        finally:
            os.close(descriptor)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"run folder {self.path} cannot be written ({error.strerror}); make room, or name another --run-dir."
            ) from error

    def _dataset_hash(self) -> str | None:
        """The content hash of the data that the run began with, if that is known."""
        found = read_section(self.dataset_file).get("content_hash")
        if found is not None and not isinstance(found, str):
            raise Damaged(f"{self.dataset_file} is damaged (its content_hash is {found!r:.50}); restore it.")
        return found

    def _is_ours(self, path: Path) -> bool:
        """Whether a run that was killed while it began may have left this file or folder."""
        ours = (self.dataset_file, self.checkpoints, self.samples, self.launch, self.path / "tracking.json")
        return path in ours or path.name.endswith(".partial") or path.name.startswith((".training.", ".pipeline."))

    def refuse_another(self, asked: RunConfig, free: Container[str], remedy: str = "name another --run-dir") -> None:
        """UserError if the run that is there would make another model, the dotted keys `free` aside."""
        old, new = identity(self.config()), identity(asked)
        differing = [key for key in old | new if old.get(key) != new.get(key) and key not in free]
        if differing:
            changes = ", ".join(f"{key} ({old.get(key)!r} there, {new.get(key)!r} asked)" for key in differing)
            why = f"; {WHY_VALIDATION}" if VALIDATION in differing else ""
            raise UserError(f"{self.path} holds a run of another configuration: {changes}{why}; {remedy}.")


def read_section(file: Path) -> dict[str, Any]:
    """A file's JSON object; {} where there is no file; Damaged where it is something else."""
    content = read_json(file) if file.exists() else {}
    if not isinstance(content, dict):
        raise Damaged(f"{file} is damaged (it holds no object); delete it and make it again.")
    return content


def is_logged(content: Any) -> bool:
    """Whether this is a line of metrics: it has a step, and all its values are numbers, none of them infinite."""
    if not isinstance(content, dict) or not isinstance(content.get("step"), int):
        return False
    return all(isinstance(value, int | float) and not abs(value) > 1e300 for value in content.values())


def identity(config: RunConfig) -> dict[str, Any]:
    """The dotted keys that decide which model comes out."""
    content = config.model_dump(mode="json", include={"data", "condition", "method", "training"})
    content["training"] = {key: value for key, value in content["training"].items() if key not in OPERATIONAL}
    if not config.held_back:
        del content["data"][VALIDATION.removeprefix("data.")]  # it does not decide which rows are trained on
    return flatten(content)


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def new_run_name(model: str) -> str:
    """<model>-<UTC time>-<4 random hex digits>."""
    return f"{model}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
