"""The baseline is fitted and scored once, as a model is, and kept for those who ask for the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.evaluation.estimates import baselines_of, floors_of, measured, values_of
from genlib.evaluation.report.figures import ReportFigures
from genlib.evaluation.report.page import report_page
from genlib.evaluation.report.table import table
from genlib.evaluation.scoring import baseline as module
from genlib.evaluation.scoring.baseline import (
    FACTS,
    WEIGHTS,
    baseline_of,
    load_mixture,
    mixture_folder,
    scored,
    scores_file,
)
from genlib.evaluation.scoring.evaluator import Evaluator, make_evaluator
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.mixture import NoFit
from genlib.storage.files import read_json, write_json
from tests.conftest import FIXTURES
from tests.evaluation.test_samples import scorer_of

CPU = torch.device("cpu")
MakeDataset = Callable[..., DatasetFolder]


@pytest.fixture
def dataset(make_dataset: MakeDataset) -> DatasetFolder:
    return make_dataset()


def test_it_is_scored_as_a_sampler_is_and_not_again(
    dataset: DatasetFolder, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = scorer_of(dataset, alone, 300)
    baseline = baseline_of(scorer, [0, 1], CPU)
    assert baseline.sampler is not None and baseline.warning is None
    first, sets = Evaluator(CPU, scorer, {}, 0, baseline).samples(baseline.sampler)
    assert list(baseline.sets) == sets[:2] and first.metrics == sets[0]
    assert baseline.sets[0] != baseline.sets[1]
    samplers, _ = load_mixture(mixture_folder(dataset)[0], (1, 8, 8), CPU)
    by_noise = {noise: scored(scorer, samplers[noise], 0) for noise in (False, True)}
    best = min(by_noise, key=lambda noise: by_noise[noise]["fd_random"].value)
    assert baseline.facts["residual_noise"] is best and by_noise[best] == sets[0] != by_noise[not best]
    monkeypatch.setattr(module, "fit_mixture", lambda *_: pytest.fail("fitted again"))
    monkeypatch.setattr(SampleScorer, "see", lambda *_: pytest.fail("scored again"))
    again = baseline_of(scorer_of(dataset, alone, 300), [0, 1], CPU)
    assert again.sets == baseline.sets and again.facts == baseline.facts
    assert again.sampler is not None
    assert torch.equal(again.sampler.images(9, seed=3), baseline.sampler.images(9, seed=3))


def test_a_mixture_of_digits_comes_nearer_to_them_than_a_single_gaussian(
    dataset: DatasetFolder, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = scorer_of(dataset, alone, 300)
    found = measured(baseline_of(scorer, [0], CPU).sets, {})[0]
    monkeypatch.setitem(module.RECIPE, "components", [1])
    monkeypatch.setattr("genlib.evaluation.statistics.mixture.COMPONENTS", (1,))
    single = measured(baseline_of(scorer, [0], CPU).sets, {})[0]
    assert found["fd_random"]["value"] < single["fd_random"]["value"]
    assert found["coverage"]["value"] > single["coverage"]["value"]


def test_who_asks_for_something_else_gets_other_scores_of_the_same_mixture(
    dataset: DatasetFolder, make_dataset: MakeDataset, alone: Processes
) -> None:
    scorer = scorer_of(dataset, alone, 300)
    wider = scorer_of(dataset, alone, 300)
    wider.asked = wider.asked.model_copy(update={"neighbours": 3})
    files = [
        scores_file(scorer, [0, 1], "a"),
        scores_file(scorer, [0, 2], "a"),
        scores_file(scorer, [0, 1], "b"),
        scores_file(wider, [0, 1], "a"),
        scores_file(scorer_of(dataset, alone, 200), [0, 1], "a"),
    ]
    assert len(set(files)) == len(files)
    folders = {mixture_folder(each)[0] for each in (dataset, dataset, make_dataset(900, name="other"))}
    assert len(folders) == 2


def test_what_is_kept_and_was_changed_is_named_with_a_remedy(dataset: DatasetFolder, alone: Processes) -> None:
    scorer = scorer_of(dataset, alone, 300)
    baseline = baseline_of(scorer, [0], CPU)
    folder, _ = mixture_folder(dataset)
    assert folder is not None and baseline.facts is not None
    scores = scores_file(scorer, [0], baseline.facts["weights_sha256"])
    for content in (3, {"sets": []}, {"residual_noise": False, "sets": [{"precision": {"values": 1}}]}):
        write_json(scores, content)
        with pytest.raises(UserError, match=r"baseline-.*json is damaged .* delete it to score the baseline again"):
            baseline_of(scorer, [0], CPU)
    facts = read_json(folder / FACTS)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(UserError, match="has changed since it was fitted; delete .* to fit the baseline again"):
        baseline_of(scorer, [0], CPU)
    write_json(folder / FACTS, {name: facts[name] for name in facts if name != "dimensions"})
    with pytest.raises(UserError, match="it has no dimensions"):
        baseline_of(scorer, [0], CPU)


def test_where_no_mixture_can_be_fitted_the_evaluation_says_so_and_goes_on(
    make_dataset: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(labelled=False)  # so that no classifier is trained

    def refuse(*_: object) -> None:
        raise NoFit("2 train images are too few for a Gaussian mixture")

    asked = EvaluationConfig(samples=300, features="random")
    with monkeypatch.context() as patched:
        patched.setattr(module, "fit_mixture", refuse)
        evaluator = make_evaluator(dataset, asked, alone, CPU)
    assert evaluator.baseline.warning == (
        "There is no baseline to compare with: 2 train images are too few for a Gaussian mixture."
    )
    assert evaluator.baseline.sampler is None and evaluator.floor
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    warning = make_evaluator(dataset, asked, alone, CPU).baseline.warning
    assert warning is not None and warning.startswith("There is no baseline to compare with: this needs about 750 KiB")
    assert not list(dataset.path.glob("mixture-*"))
    assert make_evaluator(dataset, asked, alone, CPU, with_baseline=False).baseline.warning is None


def test_points_have_one_too(make_points: MakeDataset, alone: Processes) -> None:
    asked = EvaluationConfig(samples=300, features="points", seeds=1)
    baseline = make_evaluator(make_points(), asked, alone, CPU).baseline
    assert baseline.facts is not None and baseline.facts["components"] == 10
    found = measured(baseline.sets, {})[0]
    assert found["modes"]["value"] == 8 and found["high_quality"]["value"] > 0.9


def test_an_evaluation_has_the_mean_and_the_deviation_of_the_baseline_beside_each_value() -> None:
    from genlib.evaluation.estimates import Estimate

    sets = [{"fd": Estimate(value, 5)} for value in (1.0, 3.0)]
    ours = [{"fd": Estimate(4.0, 5), "elbo": Estimate(0.0, 5)}]
    evaluation = {"metrics": measured(ours, {}, sets)[0]}
    assert evaluation["metrics"]["fd"]["baseline"] == 2
    assert evaluation["metrics"]["elbo"]["baseline"] is None
    assert baselines_of(evaluation) == {"fd": 2.0}
    assert baselines_of(evaluation, "baseline_std") == {"fd": pytest.approx(2**0.5)}


@pytest.mark.parametrize("file", sorted(FIXTURES.rglob("runs/*/evaluation.json")), ids=lambda file: file.parent.name)
def test_an_evaluation_of_an_earlier_version_has_none(file: Path) -> None:
    evaluation = json.loads(file.read_text())
    assert values_of(evaluation) and floors_of(evaluation) and baselines_of(evaluation) == {}
    assert "baseline " not in table(evaluation)
    assert "<th>baseline</th>" not in report_page("run", evaluation, ReportFigures(), [], None)
