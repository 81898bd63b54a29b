"""A trained sampler as an MLflow model: code and weights, no pickle, loadable where the project is not installed."""

from __future__ import annotations

import ast
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

import genlib
from genlib.sampling.load import load_sampler
from genlib.sampling.sampler import TrainedSampler

MODEL_SCRIPT = Path(__file__).with_name("sampler_model.py")
PACKAGE = Path(genlib.__file__).parent
ENTRY = "genlib.sampling.load"  # all that the model's script imports of the project
BY_NAME = ("genlib.losses.adversarial", "genlib.conditions")  # packages whose modules no import statement names
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "pyyaml", "safetensors", "torch")


def log_sampler(run_id: str, sampler: Path) -> ModelInfo:
    """Log an exported sampler folder as a model of an MLflow run."""
    loaded = load_sampler(sampler)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_id=run_id):
        return mlflow.pyfunc.log_model(
            name="sampler",
            python_model=str(MODEL_SCRIPT),
            artifacts={"sampler": sampler.absolute().as_uri()},  # MLflow decodes a path as if it were a URI
            code_paths=[str(copy_code(Path(folder)))],
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
    """What is installed here, without the local part of a version such as +cpu, which no index knows."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]


def copy_code(folder: Path) -> Path:
    """Copy the modules of genlib that the sampler needs, and no others; returns the copied package."""
    for file in modules_needed(ENTRY):
        target = folder / file.relative_to(PACKAGE.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder / PACKAGE.name


def modules_needed(module: str) -> set[Path]:
    """The files of genlib that importing a module reads, its parent packages included, from the source alone."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = file_of(name)
        if file is None or file in found:
            continue
        found.add(file)
        waiting.append(name.rpartition(".")[0])
        if name in BY_NAME:
            waiting += modules_below(name, file.parent)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def modules_below(package: str, folder: Path) -> list[str]:
    """The dotted names of all modules in a package's folder and in those below."""
    files = [file.relative_to(folder).with_suffix("") for file in folder.rglob("[!_]*.py")]
    return [".".join([package, *file.parts]) for file in files]


def file_of(module: str) -> Path | None:
    """Where a module of genlib lies; None for every other name."""
    if module.partition(".")[0] != PACKAGE.name:
        return None
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)
