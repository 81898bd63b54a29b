import os

import pytest

from genlib.errors import UserError
from genlib.runtime.launched import NUMBERS, TOGETHER, check_launcher, is_first_process, launchers_environment

WHOLE = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture
def launched(monkeypatch):
    """Set the variables of a launcher, and no others."""

    def launch(**variables):
        for name in {*NUMBERS, *TOGETHER}:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setitem(os.environ, name, value)

    return launch


def test_one_process_speaks_for_all(launched):
    for variables, first in (({}, True), (WHOLE, False), (WHOLE | {"RANK": "0"}, True), ({"RANK": "5"}, True)):
        launched(**variables)
        check_launcher()
        assert is_first_process() == first


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (WHOLE | {"RANK": "one"}, r"variable RANK \('one'\) must be a whole number; torchrun and accelerate"),
        (WHOLE | {"RANK": ""}, r"RANK \(''\) must be a whole number"),
        (WHOLE | {"LOCAL_RANK": "-1"}, r"LOCAL_RANK \('-1'\) must be a whole number"),
        (WHOLE | {"MASTER_PORT": "http"}, r"MASTER_PORT \('http'\) must be a whole number"),
        ({"TORCHELASTIC_MAX_RESTARTS": "x"}, r"TORCHELASTIC_MAX_RESTARTS \('x'\) must be"),
        ({"WORLD_SIZE": "2"}, "process 0 of 2, and the environment variable RANK is not set"),
        ({"LOCAL_RANK": "0"}, "process 0 of 1, and the environment variable RANK is not set"),
        (WHOLE | {"RANK": "2"}, r"RANK \(2\) must be less than WORLD_SIZE \(2\)"),
    ],
)
def test_variables_that_no_launcher_sets_are_refused_and_whoever_finds_them_speaks(launched, variables, message):
    launched(**variables)
    with pytest.raises(UserError, match=message):
        check_launcher()
    assert is_first_process()


def test_a_value_that_accelerate_does_not_understand_is_refused():
    message = r"\(invalid truth value banana\); mend or unset the variables ACCELERATE_"
    with pytest.raises(UserError, match=message), launchers_environment():
        raise ValueError("invalid truth value banana")
