import os
import signal

import pytest

from genlib.cli import report_user_errors
from genlib.runtime.interruption import Left, leaving_on_signals, stop_signals

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers():
    """Those of the test's process, put back."""
    former = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_ends_a_command_by_way_of_its_cleaning_up_with_a_line_and_its_code(number, capsys):
    before, cleaned = signal.getsignal(number), []
    with pytest.raises(Left, match=str(128 + number)), leaving_on_signals("interrupted."):
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # a second one does not disturb the cleaning up
            cleaned.append(number)
    assert cleaned == [number] and signal.getsignal(number) == before
    assert capsys.readouterr().err == "interrupted.\n"


def test_a_closed_terminal_is_ignored_where_nohup_has_the_process_ignore_it():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert signal.SIGHUP not in stop_signals() and len(stop_signals()) == 3
    with leaving_on_signals("interrupted."):
        os.kill(os.getpid(), signal.SIGHUP)


def test_ctrl_c_in_any_command_is_one_line(capsys):
    def command():
        raise KeyboardInterrupt

    assert report_user_errors(command) == 130
    assert capsys.readouterr().err == "interrupted.\n"
