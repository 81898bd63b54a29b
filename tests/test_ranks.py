"""Work that one process does for all. The exchange between processes is a list here: one writes, the others read."""

from __future__ import annotations

import pytest
from torch import distributed

from genlib.errors import UserError
from genlib.runtime.ranks import on_first_process


@pytest.fixture
def as_rank(monkeypatch):
    """Call on_first_process as the process of this rank, after those before it."""
    sent = []

    def exchange(rank):
        def broadcast(objects, src):
            assert src == 0
            if rank == 0:
                sent.extend(objects)
            else:
                objects[:] = sent

        return broadcast

    def call(rank, work):
        monkeypatch.setattr(distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(distributed, "get_rank", lambda: rank)
        monkeypatch.setattr(distributed, "broadcast_object_list", exchange(rank))
        return on_first_process(work)

    return call


def must_not():
    raise AssertionError("only the first process works")


def test_alone_it_is_a_call():
    assert on_first_process(lambda: 7) == 7


def test_all_processes_get_the_result_and_the_first_alone_works(as_rank):
    assert as_rank(0, lambda: {"made": 1}) == {"made": 1}
    assert as_rank(1, must_not) == {"made": 1}


def test_all_processes_get_a_users_error(as_rank):
    def fail():
        raise UserError("the folder is in use")

    with pytest.raises(UserError, match="the folder is in use"):
        as_rank(0, fail)
    with pytest.raises(UserError, match="the folder is in use"):
        as_rank(1, must_not)


def test_another_error_is_itself_on_the_first_process_and_named_on_the_others(as_rank):
    def fail():
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        as_rank(0, fail)
    with pytest.raises(RuntimeError, match="KeyError: 'lost'"):
        as_rank(1, must_not)
