"""Training as a job of a real Slurm, whose daemons the tests start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genlib.config.load import load_config
from genlib.runs.folder import RunFolder
from pipelines.launching.job import Job
from pipelines.launching.slurm import rendered
from tests.cluster.nodes import TRAIN, wait_until
from tests.cluster.slurm import cluster, reason_without, told
from tests.cluster.test_nodes import last_step, weights
from tests.conftest import FILES, PROJECT, TINY

WITHOUT = reason_without()
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(WITHOUT is not None, reason=str(WITHOUT))]

SETTINGS = [
    *TINY["gan"],
    *("training.batch_size=16", "training.steps=300", "training.checkpoint_every=100", "training.log_every=5"),
    *("training.sample_every=1000", "evaluation.every=null"),
]
SLURM = "launcher={name: slurm, hours: 0.5, partition: test, setup: ['echo prepared']}"


@pytest.fixture(scope="module")
def slurm(genlib_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


def begin(run: RunFolder, environment: dict[str, str], *settings: str) -> subprocess.Popen[bytes]:
    """The launcher in a process of its own, as the flow is one; its lines beside the run folder."""
    with run.path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(FILES["gan"]), str(run.path), *SETTINGS, *settings],
            cwd=PROJECT,
            env=os.environ | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def said(run: RunFolder) -> str:
    return run.path.with_suffix(".log").read_text()


def test_slurm_takes_the_script_with_every_option(slurm: dict[str, str], tmp_path: Path) -> None:
    launcher = "launcher={name: slurm, hours: 0.5, partition: test, options: ['--comment=night', --exclusive]}"
    config = load_config(FILES["gan"], [*SETTINGS, launcher])
    script = tmp_path / "job.sh"
    script.write_text(rendered(config.launcher, Job(config, tmp_path / "config.yaml", tmp_path, 1, {})))
    done = subprocess.run(
        ["sbatch", "--test-only", str(script)], env=os.environ | slurm, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "to start at" in done.stderr, done.stderr


def test_a_job_whose_time_is_over_queues_again_and_ends_with_the_same_model(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    run, plain = RunFolder(tmp_path / "queued"), RunFolder(tmp_path / "plain")
    flow = begin(run, slurm, SLURM)
    wait_until(lambda: last_step(run) >= 50, said(run) if run.path.with_suffix(".log").exists() else "")
    job = told("squeue", "--noheader", "--format", "%i", environment=slurm).strip()
    # What Slurm itself does five minutes before the limit.
    subprocess.run(["scancel", "--batch", "--signal=USR1", job], env=os.environ | slurm, check=True)
    assert flow.wait(240) == 0, said(run)
    assert "PENDING" in said(run).partition("preempted at step")[2], "it was queued again"
    assert "from step" in said(run) and "prepared" in said(run)
    assert run.result()["status"] == "finished"
    assert "Restarts=1" in told("scontrol", "show", "job", job, environment=slurm)

    assert begin(plain, {}).wait(120) == 0, said(plain)
    assert weights(run) == weights(plain)


def test_an_interrupted_flow_cancels_its_job_which_saves_a_checkpoint(slurm: dict[str, str], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "cancelled")
    flow = begin(run, slurm, SLURM, "training.steps=100000")
    wait_until(lambda: last_step(run) >= 50, "no step was made")
    os.kill(flow.pid, signal.SIGTERM)
    assert flow.wait(40) != 0
    assert not told("squeue", "--noheader", environment=slurm), "nothing runs"
    result = run.result()
    assert result["status"] == "preempted", said(run)
    assert (run.checkpoints / f"step-{result['step']:08d}").is_dir()


def test_a_flow_that_was_killed_leaves_a_job_that_the_next_one_follows(slurm: dict[str, str], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "orphan")
    flow = begin(run, slurm, SLURM)
    wait_until(lambda: last_step(run) >= 20, "no step was made")
    flow.kill()
    flow.wait()
    assert begin(run, slurm, SLURM).wait(120) == 0, said(run)
    assert len(list(run.launch.glob("slurm-*.log"))) == 1, "one job, which both of them followed"
    assert run.result()["status"] == "finished"


def test_bad_input_in_the_job_is_told_in_the_engines_words(slurm: dict[str, str], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "bad")
    assert begin(run, slurm, SLURM, "training.batch_size=100000").wait(120) != 0
    assert "error: training.batch_size (100000) is larger than the train split" in said(run)
