"""The floor is judged once, and kept for those who ask for the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.evaluation.scoring.floor import floor_file, floor_of
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.storage.files import write_json
from tests.evaluation.test_samples import of_held_out, scorer_of

MakeDataset = Callable[..., DatasetFolder]


def test_it_is_what_held_out_images_get_and_is_not_scored_again(
    make_dataset: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = scorer_of(make_dataset(), alone, 300)
    floor = floor_of(scorer, 300)
    assert {name: estimate.value for name, estimate in floor.items()} == of_held_out(scorer)
    monkeypatch.setattr(SampleScorer, "see", lambda *_: pytest.fail("judged again"))
    assert floor_of(scorer_of(scorer.dataset, alone, 300), 300) == floor


@pytest.mark.parametrize("content", [[], {"precision": 3}, {"precision": {"values": 1}}])
def test_a_floor_that_is_damaged_is_named(content: object, make_dataset: MakeDataset, alone: Processes) -> None:
    scorer = scorer_of(make_dataset(), alone, 300)
    write_json(floor_file(scorer, 300), content)
    with pytest.raises(UserError, match=r"floor-.*json is damaged .* delete it to score the test images again"):
        floor_of(scorer, 300)


def test_who_asks_for_something_else_gets_another(make_dataset: MakeDataset, alone: Processes) -> None:
    dataset = make_dataset()
    scorer = scorer_of(dataset, alone, 300)
    wider = scorer_of(dataset, alone, 300)
    wider.asked = wider.asked.model_copy(update={"neighbours": 3})
    others = [scorer_of(dataset, alone, 200), scorer_of(make_dataset(900, name="other"), alone, 300), wider]
    files = [floor_file(scorer, 300), floor_file(scorer, 200), *(floor_file(other, 300) for other in others)]
    assert len(set(files)) == len(files)
    assert floor_of(wider, 300)["coverage"] != floor_of(scorer, 300)["coverage"]
