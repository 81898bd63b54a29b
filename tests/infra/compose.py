"""compose.yaml as docker compose reads it: with the settings of a file in the place of ${NAMES}."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from tests.conftest import PROJECT

INFRA = PROJECT / "infra"
FILE = INFRA / "compose.yaml"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<kind>:\?|:-)?(?P<text>[^}]*)\}")


def settings() -> dict[str, str]:
    """.env as infra/secrets.sh makes it."""
    command = ["bash", str(INFRA / "secrets.sh"), str(INFRA / ".env.example")]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pairs = (line.split("=", 1) for line in made.splitlines() if line and not line.startswith("#"))
    return {name: value for name, value in pairs}


def services(given: Mapping[str, str]) -> dict[str, Any]:
    """Refuses like docker compose what has neither a value nor a default."""

    def value(match: re.Match[str]) -> str:
        name, kind, text = match["name"], match["kind"], match["text"]
        if given.get(name):
            return given[name]
        if kind != ":-":
            raise KeyError(f"required variable {name} is missing a value: {text}")
        return text

    return yaml.safe_load(VARIABLE.sub(value, FILE.read_text()))["services"]
