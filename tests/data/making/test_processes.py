"""Worker processes, calls at the same time, and calls that are killed."""

import errno
import io
import json
import os
import pickle
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from genlib.data.making import build, workers
from genlib.data.making.decode import Job
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from tests.conftest import PROJECT
from tests.data.examples import hub_folder, pictures, png

# Makes even small sources worth worker processes.
SMALL_JOBS = (
    "import genlib.data.making.build as build; "
    "build.WORTH_WORKERS_SECONDS = build.JOB_SECONDS = 0; build.cores = lambda: 2"
)
CALL = """
from genlib.data.config import DataConfig
from genlib.data.making.prepare import prepare
folder = prepare(DataConfig(source={source!r}, image_size=8, channels=1))
"""


@pytest.fixture
def flowers(tmp_path):
    return hub_folder(tmp_path / "flowers", train=80, test=40)


def start(program, source, home, from_stdin=False):
    """Run the program in a process of its own; CALL in it stands for a call of prepare."""
    program = program.replace("CALL", CALL.format(source=str(source)))
    process = subprocess.Popen(
        [sys.executable, "-u", *(["-"] if from_stdin else ["-c", program])],
        cwd=PROJECT,
        env=os.environ | {"GENLIB_HOME": str(home.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if from_stdin:
        process.stdin.write(program)
    return process


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output


@pytest.fixture
def small_jobs(monkeypatch):
    monkeypatch.setattr(build, "WORTH_WORKERS_SECONDS", 0)
    monkeypatch.setattr(build, "JOB_SECONDS", 0)
    monkeypatch.setattr(build, "cores", lambda: 2)


def test_workers_give_what_one_process_gives(home, config, flowers, small_jobs):
    source, truth = flowers
    folder = prepare(config(source))
    np.testing.assert_array_equal(folder.images("train"), truth["train"][0])
    np.testing.assert_array_equal(folder.images("test"), truth["test"][0])
    np.testing.assert_allclose(folder.manifest.mean, truth["train"][0].mean())


def test_workers_need_nothing_of_the_calling_script(home, flowers):
    """It has no file and no guard, so multiprocessing could not import it again, and torch's threads run in it."""
    program = f"import torch; torch.ones(9) @ torch.ones(9); {SMALL_JOBS}\nCALL\nprint(folder.manifest.counts)"
    assert finish(start(program, flowers[0], home, from_stdin=True)) == "{'train': 80, 'test': 40}\n"


class Bomb:
    def __reduce__(self):
        return os._exit, (9,)


@pytest.fixture
def jobs(tmp_path):
    """Jobs of one grey image each, the pixels they hold, and the file that they fill."""
    images = pictures(12)
    file = tmp_path / "images.npy"
    np.save(file, np.zeros((len(images), 1, 8, 8), np.uint8))
    return [Job(file, row, [png(image)]) for row, image in enumerate(images)], images, file


def test_the_images_of_a_killed_worker_are_decoded_by_the_others(jobs, caplog):
    todo, images, file = jobs
    with workers.Workers(2) as pool:
        pool.start()
        pool.workers[0].kill()
        assert [result.rows for result in pool.fill(todo)] == [1] * len(todo)
    np.testing.assert_array_equal(np.load(file)[:, 0], images)
    assert caplog.messages == [
        "a decoding process ended early (signal 9, perhaps because memory was short): 1 other decodes its images"
    ]


def test_without_any_worker_left_this_process_decodes(jobs, caplog):
    todo, images, file = jobs
    with workers.Workers(2) as pool:
        pool.start()
        for worker in pool.workers:
            worker.kill()
        assert [result.rows for result in pool.fill(todo)] == [1] * len(todo)
    np.testing.assert_array_equal(np.load(file)[:, 0], images)
    assert len(caplog.messages) == 2 and "this process decodes its images" in caplog.messages[1]


@pytest.mark.parametrize("possible", [0, 1])
def test_workers_that_cannot_be_started_are_done_without(jobs, caplog, monkeypatch, possible):
    todo, images, file = jobs
    popen, started = workers.subprocess.Popen, []

    def start(*arguments, **options):
        if len(started) == possible:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(workers.subprocess, "Popen", start)
    with workers.Workers(2) as pool:
        assert [result.rows for result in pool.fill(todo)] == [1] * len(todo)
    np.testing.assert_array_equal(np.load(file)[:, 0], images)
    assert caplog.messages == [f"{possible} of 2 decoding processes started (Cannot allocate memory)"]


def test_what_libraries_print_of_a_damaged_image_stays_in_the_worker(tmp_path, capfd):
    file, whole = tmp_path / "images.npy", io.BytesIO()
    np.save(file, np.zeros((1, 1, 8, 8), np.uint8))
    Image.fromarray(pictures(1, 64)[0]).save(whole, "TIFF", compression="tiff_lzw")
    damaged = whole.getvalue()[:200] + b"\xff" * 400 + whole.getvalue()[600:]
    with workers.Workers(1) as pool:
        (result,) = pool.fill([Job(file, 0, [damaged])])
    assert set(result.failures) == {0} and capfd.readouterr().err == ""


def test_an_image_that_ends_every_worker_is_a_corrupt_row_in_the_end(tmp_path, caplog):
    file = tmp_path / "images.npy"
    np.save(file, np.zeros((1, 1, 8, 8), np.uint8))
    with workers.Workers(2) as pool:
        (result,) = pool.fill([Job(file, 0, [Bomb()])])
    assert set(result.failures) == {0} and len(caplog.messages) == 2 and "exit code 9" in caplog.messages[0]
    assert pickle.loads(pickle.dumps(Job(tmp_path, 0, [b"x"]))).encoded == [b"x"]


def test_workers_are_ended_while_jobs_wait_and_nothing_is_said(jobs, caplog):
    todo, _, _ = jobs
    with workers.Workers(1) as pool:
        next(pool.fill(todo))
    assert pool.workers[0].returncode is not None and not caplog.messages


def test_too_little_memory_in_this_process_is_one_line(home, config, flowers, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(build, "fill", exhausted)
    with pytest.raises(UserError, match="not enough memory to decode .*data.max_pixels"):
        prepare(config(flowers[0]))


def test_a_second_call_imports_nothing_heavy(home, flowers):
    source, _ = flowers
    check = """
import sys
heavy = {"torch", "datasets", "pyarrow", "PIL", "sklearn", "huggingface_hub", "tqdm"} & set(sys.modules)
print(folder.path, sorted(heavy))
"""
    for file in source.iterdir():  # settled long ago, so that its hash is kept
        os.utime(file, (1e9, 1e9))
    for place in (source, "digits"):
        finish(start("CALL", place, home))
        path, heavy = finish(start("CALL" + check, place, home)).split(" ", 1)
        assert heavy == "[]\n" and os.path.exists(path)


def test_two_calls_at_once_do_the_work_once_and_both_return_it(home, flowers):
    source, _ = flowers
    program = """
import genlib.data.making.build as module
def once(*arguments, original=module.build):
    print("building")
    input()
    original(*arguments)
module.build = once
CALL
print(folder.path.name, folder.manifest.content_hash)
"""
    first = start(program, source, home)
    assert first.stdout.readline() == "building\n"
    second = start(program, source, home)
    assert not select.select([second.stdout], [], [], 0)[0]
    first.stdin.write("go on\n")
    first.stdin.flush()
    answers = [finish(first), finish(second)]
    assert answers[0] == answers[1] and answers[0].startswith("flowers-")


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes that are not its children")
def test_a_killed_call_leaves_nothing_that_looks_finished_and_the_next_one_recovers(home, flowers, config):
    source, truth = flowers
    program = f"""
import json, os, signal
import genlib.data.making.workers as workers
{SMALL_JOBS}
def die(self, jobs):
    print(json.dumps([worker.pid for worker in self.workers]))
    input()
    os.kill(os.getpid(), signal.SIGKILL)
build.Workers.fill = die
CALL
"""
    process = start(program, source, home)
    ends = [os.pidfd_open(pid) for pid in json.loads(process.stdout.readline())]
    process.communicate("now\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    for end in ends:  # the workers end with their parent
        assert select.select([end], [], [], 60)[0]
        os.close(end)
    assert not list(home.glob("[!.]*")) and list(home.glob(".*.partial"))
    folder = prepare(config(source))
    np.testing.assert_array_equal(folder.images("train"), truth["train"][0])
    assert not list(home.glob(".*.partial")) and not list(home.glob(".*.scratch"))


def test_an_interrupted_call_cleans_up_after_itself(home, flowers, config, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(config(flowers[0]))
    assert not list(home.glob("[!.]*")) and not list(home.glob(".*.partial"))
