"""From YAML and `--set a.b=value` overrides to one validated RunConfig, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genlib.choices.problems import validated
from genlib.config.overrides import ordered, set_key
from genlib.config.run import RunConfig
from genlib.config.shipped import configuration_path
from genlib.config.yaml_text import LARGEST_TEXT, NOT_YAML, read_yaml, write_yaml
from genlib.errors import UserError, one_line, quoted, shortened


def load_config(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> RunConfig:
    """Read one YAML file, apply overrides such as `training.steps=100` or {"training.steps": 100}, validate.

    A text may be the name of a configuration that comes with genlib. UserError says what to mend.
    """
    path = configuration_path(path) if isinstance(path, str) else path
    try:
        content = read_yaml(text_of(path))
    except (OSError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or error
        name = shortened(str(path))
        raise UserError(
            one_line(f"configuration {name}: {reason}; name a YAML file, or one that `genlib configs` lists.")
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
