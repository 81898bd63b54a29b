"""Files of the project beside its code: licence, workflows, hooks and the links of its pages."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import PROJECT

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + [
    *sorted((PROJECT / "docs").glob("*.md")),
    *sorted((PROJECT / "infra").rglob("*.md")),
]


def test_the_licence_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    text = (PROJECT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    for package in ("genlib", "pipelines"):
        assert (PROJECT / package / "py.typed").is_file()


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_is_valid_and_calls_targets_of_the_makefile(file: Path) -> None:
    schema = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)]
    done = subprocess.run([Path(sys.executable).parent / schema[0], *schema[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.M))
    jobs = yaml.safe_load(file.read_text())["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    for command in commands:
        assert command.startswith("sudo apt-get ") or command.removeprefix("make ") in targets, command


def test_every_hook_is_a_tool_of_the_environment() -> None:
    (repository,) = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        tool = Path(hook["entry"].split()[0])
        assert tool.parent == Path(".venv/bin") and (Path(sys.executable).parent / tool.name).is_file(), tool


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, heading = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, link
