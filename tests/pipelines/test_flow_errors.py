from __future__ import annotations

import logging
import sys

import pytest

from genlib.errors import UserError
from pipelines.flows.retrain import WithoutTraceback
from pipelines.flows.tasks import StageFailed


@pytest.mark.parametrize(
    ("error", "traced"),
    [(UserError(), False), (StageFailed(), False), (OSError(), True)],
)
def test_errors_that_say_what_to_do_are_logged_without_a_traceback(error: Exception, traced: bool) -> None:
    try:
        raise error
    except Exception:
        record = logging.LogRecord("prefect.flow_runs", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    assert WithoutTraceback().filter(record)
    assert bool(record.exc_info) is traced
    names = ("prefect.flow_runs", "prefect.task_runs")
    assert all(any(isinstance(known, WithoutTraceback) for known in logging.getLogger(name).filters) for name in names)
