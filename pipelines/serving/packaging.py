"""A trained sampler as an MLflow model: code and weights, no pickle, loadable where the project is not installed."""

from __future__ import annotations

import ast
import shutil
import tempfile
from importlib.metadata import Distribution, version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

from genlib.choices.choice import choices_below
from genlib.choices.discovery import GROUP
from genlib.sampling.description import SamplerDescription
from genlib.sampling.load import load_sampler
from genlib.sampling.sampler import TrainedSampler
from genlib.storage.files import read_json
from pipelines.serving.closure import PACKAGE, folder_of, imports_of, modules_needed, plugin_of

MODEL_SCRIPT = Path(__file__).with_name("sampler_model.py")
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "pyyaml", "safetensors", "torch")


def log_sampler(run_id: str, sampler: Path) -> ModelInfo:
    """Log an exported sampler folder as a model of an MLflow run."""
    loaded = load_sampler(sampler)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_id=run_id):
        return mlflow.pyfunc.log_model(
            name="sampler",
            python_model=str(MODEL_SCRIPT),
            artifacts={"sampler": sampler.absolute().as_uri()},  # MLflow decodes a path as if it were a URI
            code_paths=[str(path) for path in copy_code(sampler, Path(folder))],
            signature=signature_for(loaded),
            input_example=(example(loaded), {"seed": 0, "truncation": 0.0}),
            pip_requirements=requirements(),
            metadata={"input": input_form(loaded)},
        )


def fetch_sampler(version: ModelVersion, folder: Path) -> Path | None:
    """Download a version's sampler folder, as `log_sampler` took it; None where MLflow has it no more."""
    uri = f"models:/{version.name}/{version.version}/artifacts/sampler"
    if not mlflow.artifacts.list_artifacts(artifact_uri=uri):
        return None
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def example(sampler: TrainedSampler) -> pd.DataFrame | np.ndarray:
    """A request: rows that ask for images, or contexts in the form that the condition says."""
    if sampler.condition:
        values, column = sampler.condition.request(), sampler.condition.served_column
        return pd.DataFrame({column: values}) if column else np.asarray(values)
    label = {"label": [(sampler.label_names or ["0"])[0]]} if sampler.classes else {}
    return pd.DataFrame({"count": [4], **label})


def input_form(sampler: TrainedSampler) -> str:
    """The form of a request in words, for readers of the MLmodel file."""
    if sampler.condition:
        return sampler.condition.request_form()
    return "rows with a count" + (", and a label (its name) or none" if sampler.classes else "")


def signature_for(sampler: TrainedSampler) -> ModelSignature:
    """The parameters seed and truncation (0: none) in, and `samples` of each context where there is a condition; uint8
    (n, C, H, W) or float32 (n, 2) out.

    Input columns are left out: MLflow would convert what comes to their types before the model sees it (3.7 to 3, true
    to 1), and refuse a label that is a number. The model checks what it takes, and `input_form` says it.
    """
    shape = sampler.image_shape
    params = [ParamSpec("seed", "long", 0), ParamSpec("truncation", "double", 0.0)]
    if sampler.condition:
        params.append(ParamSpec("samples", "long", 1))
    kind = np.uint8 if len(shape) == 3 else np.float32
    outputs = Schema([TensorSpec(np.dtype(kind), (-1, *shape))])
    return ModelSignature(outputs=outputs, params=ParamSchema(params))


def requirements() -> list[str]:
    """The installed versions as pip requirements, without a local part such as +cpu, which no index knows."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]


def copy_code(sampler: Path, folder: Path) -> list[Path]:
    """Copy the source that an exported sampler needs into `folder`; returns what is to be found by Python there.

    That is genlib without training, launchers and report, and without choices that the sampler does not name; and the
    packages of plugins whose choices it names, each beside the entry point by which they are found.
    """
    description = SamplerDescription.model_validate(read_json(sampler / "config.json"))
    chosen = [type(choice) for _, choice in choices_below(description)]
    tops = {choice.__module__.partition(".")[0] for choice in chosen}
    plugins = {top: found for top in sorted(tops) if (found := plugin_of(top))}
    whole = [name for plugin in plugins for name in modules_below(plugin)]
    needed = modules_needed([*script_imports(), *whole], chosen, (PACKAGE, *plugins))
    for name, file in needed.items():
        parts = name.split(".")
        target = folder.joinpath(*(parts if file.name == "__init__.py" else parts[:-1]), file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    for distribution, entries in plugins.values():
        write_metadata(folder / f"{distribution.name}-{distribution.version}.dist-info", distribution, entries)
    return sorted(folder.iterdir())


def script_imports() -> list[str]:
    """The names that the model's script imports."""
    return list(imports_of(ast.parse(MODEL_SCRIPT.read_text())))


def modules_below(package: str) -> list[str]:
    """The dotted names of all modules of a package."""
    root = folder_of(package)
    files = [file.relative_to(root.parent).with_suffix("") for file in root.rglob("*.py")]
    return [".".join(file.parts).removesuffix(".__init__") for file in files]


def write_metadata(folder: Path, distribution: Distribution, entries: list[tuple[str, str]]) -> None:
    """Write as much of an installed distribution's metadata as finds its plugins."""
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {distribution.name}", f"Version: {distribution.version}", ""]
    (folder / "METADATA").write_text("\n".join(lines))
    points = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in entries), ""]
    (folder / "entry_points.txt").write_text("\n".join(points))
