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
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

import genlib
from genlib.files import read_json

MODEL_SCRIPT = Path(__file__).with_name("sampler_model.py")
PACKAGE = Path(genlib.__file__).parent
ENTRY = "genlib.sampling"  # all that the model's script imports of the project
BY_NAME = ("genlib.losses.adversarial",)  # packages whose modules no import statement names
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "pyyaml", "safetensors", "torch")


def log_sampler(run_id: str, sampler: Path) -> ModelInfo:
    """Log an exported sampler folder as a model of an MLflow run."""
    description = read_json(sampler / "config.json")
    conditional = description["method"].get("conditioning", "none") != "none"
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_id=run_id):
        return mlflow.pyfunc.log_model(
            name="sampler",
            python_model=str(MODEL_SCRIPT),
            artifacts={"sampler": str(sampler)},
            code_paths=[str(copy_code(Path(folder)))],
            signature=signature_for(description["image_shape"], conditional),
            input_example=(example(conditional), {"seed": 0, "truncation": 0.0}),
            pip_requirements=requirements(),
        )


def fetch_sampler(version: ModelVersion, folder: Path) -> Path | None:
    """Download a version's sampler folder, as `log_sampler` took it; None where MLflow has it no more."""
    uri = f"models:/{version.name}/{version.version}/artifacts/sampler"
    if not mlflow.artifacts.list_artifacts(artifact_uri=uri):
        return None
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def example(conditional: bool) -> pd.DataFrame:
    """Rows that ask for images."""
    return pd.DataFrame({"count": [4], **({"label": ["0"]} if conditional else {})})


def signature_for(image_shape: list[int], conditional: bool) -> ModelSignature:
    """A count, a label (name or number) if there are any, and the parameters seed and truncation (0: none) in; uint8
    (n, C, H, W) or float32 (n, 2) out.
    """
    label = [ColSpec("string", "label", required=False)] if conditional else []
    kind = np.uint8 if len(image_shape) == 3 else np.float32
    return ModelSignature(
        inputs=Schema([ColSpec("long", "count"), *label]),
        outputs=Schema([TensorSpec(np.dtype(kind), (-1, *image_shape))]),
        params=ParamSchema([ParamSpec("seed", "long", 0), ParamSpec("truncation", "double", 0.0)]),
    )


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
            waiting += [f"{name}.{module.stem}" for module in file.parent.glob("[!_]*.py")]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def file_of(module: str) -> Path | None:
    """Where a module of genlib lies; None for every other name."""
    if module.partition(".")[0] != PACKAGE.name:
        return None
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)
