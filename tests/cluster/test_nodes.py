"""Training on two nodes, each with its own network and torchrun, that share nothing but the run folder."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from genlib.runs.folder import RunFolder
from tests.cluster.nodes import Node, Started, reason_without, two_nodes, wait_until
from tests.conftest import FILES, TINY

pytestmark = pytest.mark.cluster

STEPS = 400
SETTINGS = [
    *TINY["gan"],
    *("training.batch_size=16", f"training.steps={STEPS}", "training.checkpoint_every=20", "training.processes=2"),
    *("training.log_every=5", "training.sample_every=1000", "training.timeout=60", "evaluation.every=null"),
]


@pytest.fixture
def nodes(genlib_home: Path) -> Iterator[tuple[Node, Node]]:
    if without := reason_without():
        pytest.skip(without)
    with two_nodes() as nodes:
        yield nodes


def begin(nodes: tuple[Node, Node], run: RunFolder) -> tuple[Started, Started]:
    """Train on the first as the flow does, and on the second with the command that the first one's log shows."""
    first, second = nodes
    launcher = f"launcher={{name: torchrun, endpoint: '{first.address}:29400'}}"
    agent = first.train(f"{run.path.name}-first", FILES["gan"], run.path, *SETTINGS, launcher)
    wait_until(lambda: "other machines" in agent.said(), agent.said())
    return agent, join(nodes, agent)


def join(nodes: tuple[Node, Node], agent: Started) -> Started:
    shown = next(line for line in agent.said().splitlines() if "other machines" in line)
    words = shlex.split(shown.partition("other machines: ")[2])
    words[words.index("python")] = sys.executable
    # Both nodes have this machine's name, which says nothing of their addresses.
    position = words.index("--max-restarts")
    words[position:position] = ["--local-addr", nodes[1].address]
    return nodes[1].start(words, f"second-{os.urandom(2).hex()}")


def last_step(run: RunFolder) -> float:
    return max((line["step"] for line in run.metrics()), default=0)


def weights(run: RunFolder) -> bytes:
    return (run.sampler / "weights.safetensors").read_bytes()


def test_a_node_that_is_killed_and_comes_back_changes_nothing(nodes: tuple[Node, Node], tmp_path: Path) -> None:
    undisturbed, disturbed = RunFolder(tmp_path / "undisturbed"), RunFolder(tmp_path / "disturbed")
    first, second = begin(nodes, undisturbed)
    assert (first.process.wait(120), second.process.wait(60)) == (0, 0), first.said() + second.said()

    first, second = begin(nodes, disturbed)
    wait_until(lambda: last_step(disturbed) >= 100, first.said())
    for process in psutil.Process(second.process.pid).children(recursive=True):
        process.kill()  # as where a machine loses its power: nobody says goodbye
    second.process.kill()
    second.process.wait()
    wait_until(lambda: "another process of this training ended" in first.said(), first.said())
    assert disturbed.result().get("status") != "failed", "torchrun starts it again"
    again = join(nodes, first)
    assert (first.process.wait(120), again.process.wait(60)) == (0, 0), first.said() + again.said()

    assert disturbed.result()["status"] == "finished" and disturbed.result()["processes"] == 2
    begun = [line for line in (first.said() + again.said()).splitlines() if " from step " in line]
    assert begun, "training went on from a checkpoint"
    assert weights(disturbed) == weights(undisturbed)
    assert disturbed.config().launcher.nodes == 2


def test_an_interrupted_launcher_ends_the_training_on_both_nodes_with_a_checkpoint(
    nodes: tuple[Node, Node], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    first, second = begin(nodes, run)
    wait_until(lambda: last_step(run) >= 50, first.said())
    os.kill(first.process.pid, signal.SIGTERM)
    first.process.wait(60)
    assert second.process.wait(120) != 0, "with nobody to meet, its agent ends too"
    result = run.result()
    assert result["status"] == "preempted", first.said() + second.said()
    assert (run.checkpoints / f"step-{result['step']:08d}").is_dir()
