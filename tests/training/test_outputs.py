"""What a run writes while it trains: a disk that is full or slow neither ends nor holds up the training."""

import errno
import json
import os
import resource
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from genlib.training import outputs
from genlib.training.outputs import CheckpointWriter, MetricsLog, attempt


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def snapshot(step):
    return lambda: SimpleNamespace(numbers={"step": step})


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def slow_disk(monkeypatch):
    """Saving begins, and ends when it is let; what was begun and what was saved."""
    disk = SimpleNamespace(begun=threading.Semaphore(0), let=threading.Semaphore(0), saved=[], writing=0, most=0)

    def save(folder, snapshot, keep, last_good):
        disk.writing += 1
        disk.most = max(disk.most, disk.writing)
        disk.begun.release()
        assert disk.let.acquire(timeout=10)
        disk.writing -= 1
        disk.saved.append((folder, snapshot.numbers["step"], keep, last_good))

    monkeypatch.setattr(outputs, "save_checkpoint", save)
    return disk


def test_an_attempt_says_what_the_disk_refused_and_why(warnings):
    assert attempt("the sheet", lambda: None, warnings.append) and warnings == []
    assert not attempt("the sheet", full, warnings.append)
    assert warnings[0].startswith("the sheet could not be written (No space left on device); training goes on")


def test_an_error_that_is_not_the_disks_is_no_warning(warnings):
    with pytest.raises(ZeroDivisionError):
        attempt("the sheet", lambda: 1 / 0, warnings.append)
    assert warnings == []


def test_saving_does_not_wait_for_the_disk(slow_disk, warnings, tmp_path):
    writer = CheckpointWriter(warnings.append)
    writer.save(tmp_path, snapshot(1), keep=3, last_good=7)
    assert slow_disk.begun.acquire(timeout=10) and slow_disk.saved == []
    slow_disk.let.release()
    assert writer.wait()
    assert slow_disk.saved == [(tmp_path, 1, 3, 7)]


def test_one_is_written_at_a_time_and_the_next_copy_is_made_once_it_is(slow_disk, warnings, tmp_path):
    writer, copied = CheckpointWriter(warnings.append), []

    def take():
        copied.append(list(slow_disk.saved))
        return snapshot(2)()

    writer.save(tmp_path, snapshot(1), 1, 0)
    assert slow_disk.begun.acquire(timeout=10)
    second = threading.Thread(target=writer.save, args=(tmp_path, take, 1, 0))
    second.start()
    assert not slow_disk.begun.acquire(timeout=0.2) and copied == []
    slow_disk.let.release(2)
    second.join(timeout=10)
    assert writer.wait()
    assert copied == [[(tmp_path, 1, 1, 0)]] and [step for _, step, *_ in slow_disk.saved] == [1, 2]
    assert slow_disk.most == 1


def test_a_full_disk_is_a_warning_and_the_next_checkpoint_is_tried_again(monkeypatch, warnings, tmp_path):
    writer = CheckpointWriter(warnings.append)
    assert writer.wait()  # nothing has been asked of it
    monkeypatch.setattr(outputs, "save_checkpoint", full)
    writer.save(tmp_path, snapshot(40), 1, 0)
    assert not writer.wait()
    assert len(warnings) == 1
    assert warnings[0].startswith("the checkpoint of step 40 could not be written (No space left on device)")
    monkeypatch.setattr(outputs, "save_checkpoint", lambda *_: None)
    writer.save(tmp_path, snapshot(50), 1, 0)
    assert writer.wait() and len(warnings) == 1


def test_an_error_in_the_thread_that_is_not_the_disks_reaches_the_training(monkeypatch, warnings, tmp_path):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(outputs, "save_checkpoint", broken)
    writer = CheckpointWriter(warnings.append)
    writer.save(tmp_path, snapshot(1), 1, 0)
    with pytest.raises(ZeroDivisionError):
        writer.wait()


def test_costs_tell_the_time_held_up_from_the_time_of_writing_and_start_anew(monkeypatch, warnings, tmp_path):
    clock = [0.0]
    monkeypatch.setattr(outputs.time, "perf_counter", lambda: clock[0])
    writer = CheckpointWriter(warnings.append)
    copied = threading.Event()

    def take():
        clock[0] += 2
        return snapshot(1)()

    def save(*_):
        assert copied.wait(timeout=10)
        clock[0] += 5

    monkeypatch.setattr(outputs, "save_checkpoint", save)
    writer.save(tmp_path, take, 1, 0)
    copied.set()
    assert writer.wait()
    assert writer.costs() == {"checkpoint_held_seconds": 2, "checkpoint_write_seconds": 5}
    assert writer.costs() == {}


@contextmanager
def files_no_longer_than(size):
    """The operating system writes what fits, and no more: as a disk does that becomes full."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def lines_of(file):
    content = file.read_text()
    assert content == "" or content.endswith("\n")
    return [json.loads(line) for line in content.splitlines()]


def test_lines_that_a_full_disk_does_not_take_are_kept_and_written_in_order_once_there_is_room(warnings, tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", warnings.append)
    log.write({"step": 1})
    with files_no_longer_than(log.file.stat().st_size + 5):  # half a line fits
        for step in (2, 3):
            log.write({"step": step})
            assert lines_of(log.file) == [{"step": 1}]
    assert len(warnings) == 2 and warnings[0].startswith("metrics.jsonl could not be written (")
    log.write({"step": 4})
    assert lines_of(log.file) == [{"step": step} for step in (1, 2, 3, 4)]
    log.write({"step": 5})
    assert [line["step"] for line in lines_of(log.file)] == [1, 2, 3, 4, 5] and len(warnings) == 2


def test_lines_of_a_course_that_was_left_are_not_written_later(warnings, tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", warnings.append)
    with files_no_longer_than(3):
        log.write({"step": 1})
    log.forget()
    log.write({"step": 1, "again": True})
    assert lines_of(log.file) == [{"step": 1, "again": True}]


def test_no_line_has_a_number_that_json_has_not(warnings, tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", warnings.append)
    with pytest.raises(ValueError):
        log.write({"loss": float("nan")})
    log.write({"loss": 1.0})
    assert lines_of(log.file) == [{"loss": 1.0}]
