"""How good the samples of trained models are: trainings with three seeds, each in a run folder that stays.

A training that was cut off goes on there, and one that has finished is not repeated, so the table can be made in
several sittings. The folders lie in GENLIB_HOME/benchmarks/quality: a row is trained anew once its folder is removed,
or its configuration changes.
"""

from __future__ import annotations

import json
import operator
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genlib.choices.discovery import choices_of_kind
from genlib.config.extractors import ExtractorConfig
from genlib.config.load import load_config
from genlib.config.metrics import direction_of
from genlib.config.run import RunConfig
from genlib.errors import one_line
from genlib.runs.folder import RunFolder, identity
from genlib.runtime.provenance import commit_of, git, untracked_code
from genlib.storage.files import sha256_of_json
from genlib.storage.home import home
from tests.benchmarks.data import local_source
from tests.benchmarks.quality_rows import ROWS, Wanted
from tests.benchmarks.tables import Row
from tests.folders import CONFIGS, PROJECT

SEEDS = (0, 1, 2)
OWN_DIRECTIONS = {"perplexity_share": "higher", "caption_perplexity": "lower"}  # of what no record tells
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
BOUND = re.compile(
    r"(?P<metric>\w+) (?P<sign><=|>=|<|>) (?:(?P<of>floor|baseline)(?: - (?P<less>[\d.]+))?|(?P<at>[\d.]+))"
)

# What draws for a caption, or knows captions, without a model: the baseline of those metrics.
WITHOUT_MODEL = ("training image of the nearest caption", "bigrams")
Metric = dict[str, float | None]  # "value", "floor" and "baseline"
Found = dict[str, Any]  # of a seed: "metrics", "minutes" and "commits"; or "failed", the reason


def measure_quality(names: Sequence[str] = ()) -> Iterator[Row]:
    """Rows, each yielded again with every seed that is there; all by default. Those without their data are left out."""
    known = {row.row: row for row in ROWS}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"'{unknown[0]}' is no row of quality; known: {', '.join(known)}.")
    for row in [known[name] for name in names or known]:
        configs = {seed: config_of(row, seed) for seed in SEEDS}
        if any(config is None for config in configs.values()):
            print(f"{row.row}: left out, its data are not at hand; MNIST or CIFAR10 names their folder.", flush=True)
            continue
        found = {seed: finished(row, seed, config) for seed, config in configs.items() if config}
        for seed, config in configs.items():
            if config and found[seed] is None:
                found[seed] = found_in(row, seed, config)
                print(row.row, seed, json.dumps(found[seed]), flush=True)
                yield row_of(row, {number: content for number, content in found.items() if content})
        yield row_of(row, {number: content for number, content in found.items() if content})


def settings_of(row: Wanted, seed: int, source: str) -> list[str]:
    return [f"data.source={source}", *row.overrides, f"training.seed={seed}"]


def config_of(row: Wanted, seed: int) -> RunConfig | None:
    """The whole configuration of a training; None where its data are not at hand."""
    file = CONFIGS / f"{row.configuration}.yaml"
    source = local_source(load_config(file))
    return load_config(file, settings_of(row, seed, source)) if source else None


def run_of(row: Wanted, seed: int, config: RunConfig) -> RunFolder:
    """The run folder of a training, beside those of the row's other seeds, and apart from other configurations."""
    decisive = {key: value for key, value in identity(config).items() if key != "training.seed"}
    name = f"{row.row}-{sha256_of_json(decisive)[:8]}"
    return RunFolder(home() / "benchmarks" / "quality" / name / f"seed-{seed}")


def finished(row: Wanted, seed: int, config: RunConfig) -> Found | None:
    """The figures of a training that has ended and was evaluated as the configuration now asks; None of another."""
    run = run_of(row, seed, config)
    if not run.exists() or run.result().get("status") != "finished" or run.config().evaluation != config.evaluation:
        return None
    if by_imagenet(row.shown) and not (beside(run) / "evaluation.json").exists():
        return None
    return figures_of(row, run, config) if run.evaluation() else None


def found_in(row: Wanted, seed: int, config: RunConfig) -> Found:
    """Train, or go on, and evaluate; the figures, or why there are none."""
    run = run_of(row, seed, config)
    try:
        note_commit(run)
        settings = settings_of(row, seed, config.data.source)
        options = [word for setting in settings for word in ("--set", setting)]
        genlib("train", str(CONFIGS / f"{row.configuration}.yaml"), *options, "--run-dir", str(run.path))
        genlib("evaluate", str(run.path))
        if by_imagenet(row.shown):
            options = [*IMAGENET, "--output", str(beside(run))]
            genlib("evaluate", "--sampler", str(run.sampler), "--data", str(run.config_file), *options)
        return figures_of(row, run, config)
    except Failed as error:
        return {"failed": str(error)}


IMAGENET = ("--set", "evaluation.features=imagenet", "--set", "registry.metric=fd_imagenet")


def by_imagenet(shown: Sequence[str]) -> bool:
    """Whether samples are also compared by ImageNet's features: where these are shown and installed."""
    return "fd_imagenet" in shown and "imagenet" in choices_of_kind(ExtractorConfig)


class Failed(Exception):
    """A command failed; the message is the last line of its errors."""


def genlib(*arguments: str) -> None:
    """A command as a user gives it. A request to stop is passed on, so that a training saves a checkpoint."""
    command, environment = [sys.executable, "-m", "genlib", *arguments], os.environ | {"GENLIB_HOME": str(home())}
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            errors = process.communicate()[1]
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        reason = one_line((errors.strip() or "no message").splitlines()[-1])
        reason = reason.replace(str(home()), "GENLIB_HOME").replace(str(PROJECT), ".")
        raise Failed(f"genlib {arguments[0]} ended with {process.returncode}: {reason}")


def beside(run: RunFolder) -> Path:
    """The folder of the evaluation by ImageNet's features."""
    return run.path.with_name(f"{run.path.name}-imagenet")


def commits_file(run: RunFolder) -> Path:
    return run.path.with_name(f"{run.path.name}-commits.txt")


def state_of_code() -> str:
    """The commit, with a mark where code or configurations are not as committed; figures, as this table's, are none."""
    changes = git(PROJECT, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/benchmarks/RESULTS*")
    return (commit_of(PROJECT) or "unknown")[:7] + ("+" if changes or untracked_code() else "")


def note_commit(run: RunFolder) -> None:
    """Keep the commit that trains from here on; a mark stands for changes that were not committed."""
    file, now = commits_file(run), state_of_code()
    before = file.read_text().split() if file.exists() else []
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(dict.fromkeys([*before, now])))


def figures_of(row: Wanted, run: RunFolder, config: RunConfig) -> Found:
    """The shown metrics of an evaluated run, as far as they were measured."""
    evaluation, imagenet = run.evaluation(), beside(run) / "evaluation.json"
    entries = dict(evaluation["metrics"])
    if imagenet.exists():
        entries |= {"fd_imagenet": json.loads(imagenet.read_text())["metrics"].get("fd_imagenet")}
    if "perplexity_share" in row.shown:
        entries["perplexity_share"] = {"value": perplexity_share(run, config)}
    for name in WITHOUT_MODEL:
        for metric, value in evaluation["details"].get("baselines", {}).get(name, {}).items():
            entries[metric] = entries[metric] | {"baseline": value}
    shown = {name: entries[name] for name in row.shown if entries.get(name)}
    return {
        "metrics": {
            name: {key: entry.get(key) for key in ("value", "floor", "baseline")} for name, entry in shown.items()
        },
        "minutes": round(run.result()["seconds"] / 60, 2),
        "commits": commits_file(run).read_text().split() if commits_file(run).exists() else ["unknown"],
    }


def perplexity_share(run: RunFolder, config: RunConfig) -> float | None:
    """The perplexity of the codes in the last line that tells it, over the number of codes."""
    told = [line["autoencoder/perplexity"] for line in run.metrics() if "autoencoder/perplexity" in line]
    codes: int = config.method.codes  # type: ignore[attr-defined]
    return told[-1] / codes if told else None


def row_of(row: Wanted, found: Mapping[int, Found]) -> Row:
    """The row of RESULTS.json: what was found, and how it is shown."""
    judged = {seed: content for seed, content in found.items() if "failed" not in content}
    wanted = {bound_of(text)["metric"]: text for text in row.wanted}
    metrics = [
        metric_line(name, [content["metrics"].get(name) for content in judged.values()], wanted.get(name, ""))
        for name in row.shown
        if name in wanted or any(name in content["metrics"] for content in judged.values())
    ]
    minutes = [content["minutes"] for content in judged.values()]
    commits = dict.fromkeys(commit for content in judged.values() for commit in content["commits"])
    return {
        "row": row.row,
        "configuration": row.configuration,
        "overrides": list(row.overrides),
        "metrics": metrics,
        "minutes": f"{max(minutes):.1f} of {row.minutes}" if minutes else "-",
        "commit": ", ".join(commits) or "-",
        "failed": {str(seed): content["failed"] for seed, content in found.items() if "failed" in content},
        "found": {str(seed): content for seed, content in found.items()},
    }


def metric_line(name: str, of_seeds: Sequence[Metric | None], wanted: str) -> dict[str, str]:
    """A line of the table from the entries of the seeds that are there, in their order."""
    there = [entry for entry in of_seeds if entry and entry["value"] is not None]
    values = [entry["value"] for entry in there]
    worst: Callable[..., float] = max if better(name, wanted) == "lower" else min
    met = [reaches(entry, wanted) for entry in there] if wanted else []
    reached = "" if not wanted else "yes" if all(met) and len(met) == len(SEEDS) else "no"
    if all(met) and 0 < len(met) < len(SEEDS):
        reached = f"by {len(met)} of {len(SEEDS)}"
    return {
        "metric": name,
        "worst": number(worst(values) if values else None),
        "seeds": ", ".join(map(number, values)) or "-",
        "floor": number(next((entry["floor"] for entry in there), None)),
        "baseline": number(next((entry["baseline"] for entry in there), None)),
        "wanted": wanted.removeprefix(f"{name} ").replace("<", "&lt;"),
        "reached": reached,
    }


def better(name: str, wanted: str) -> str | None:
    """The better direction of a metric, "lower" or "higher"."""
    if wanted:
        return "lower" if "<" in bound_of(wanted)["sign"] else "higher"
    return OWN_DIRECTIONS.get(name) or direction_of(name)


def bound_of(wanted: str) -> dict[str, str]:
    """The parts of such as "authpct >= floor - 8"; ValueError for another text."""
    found = BOUND.fullmatch(wanted)
    if not found:
        raise ValueError(f"'{wanted}' is no bound; write METRIC <= NUMBER, or METRIC >= floor - NUMBER.")
    return found.groupdict()


def reaches(entry: Metric, wanted: str) -> bool:
    """Whether a seed's value is as wanted; not where the floor or baseline that it is compared with is unknown."""
    bound, value = bound_of(wanted), entry["value"]
    limit = entry[bound["of"]] if bound["of"] else float(bound["at"])
    if value is None or limit is None:
        return False
    return COMPARISONS[bound["sign"]](value, limit - float(bound["less"] or 0))


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
