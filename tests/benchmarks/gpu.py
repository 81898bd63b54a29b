"""What an NVIDIA GPU makes of genlib, in eight minutes: its tests, the speed of the families, and two trainings.

`python -m tests.benchmarks gpu` measures one part after another, each in processes of its own that end with the part's
time, and writes RESULTS-GPU.md beside this file after every part; a copy, and each part's output, also into the folder
that OUT names. Nothing is installed. Without a GPU it prints what it would do.

Images are those of the folders or files that CIFAR10 and MNIST name, else those of the arrays that CIFAR10_NPY and
MNIST_NPY name, uint8 (N, C, H, W), with labels from NAME-labels.npy beside NAME.npy where that exists, else digits of
8x8 pixels, enlarged: their speed is that of real images, their metrics are not, as each row says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from genlib.runtime.provenance import git_state
from genlib.storage.files import write_bytes

FOLDER, PROJECT = Path(__file__).parent, Path(__file__).parents[2]
RESULTS = "RESULTS-GPU.md"
MARK = "ROW "  # before each row in a part's output
TRAINING = (
    *("torch", "accelerate", "numpy", "pydantic", "pydantic_core", "annotated_types", "typing_inspection", "yaml"),
    *("safetensors", "filelock", "tqdm", "PIL", "scipy", "sklearn"),
)
EVALUATION = (*TRAINING, "torchmetrics", "matplotlib")
SMI = "name,driver_version,memory.total,memory.used"

Row = dict[str, str]  # "what", "figure" and "remark"


class Part(NamedTuple):
    """A part of the measurement: a function of tests.benchmarks.gpu_parts."""

    name: str
    title: str
    seconds: int  # after which it is ended
    needs: Sequence[str]  # modules that it imports


PARTS = (
    Part("cuda_tests", "Tests that need a GPU", 120, (*TRAINING, "pytest")),
    Part("augmentations", "Augmentations on the GPU and on the CPU", 15, ("torch", "pydantic", "pytest")),
    Part("nccl", "One process joined by NCCL", 45, TRAINING),
    Part("kernels", "What the slowest family's step consists of", 15, TRAINING),
    Part("throughput", "Speed of the families", 135, TRAINING),
    Part("cifar_gan", "CIFAR-10: a GAN after less than a minute", 80, EVALUATION),
    Part("burda_vae", "MNIST: the VAE of Burda et al. 2015 by the paper's schedule", 70, EVALUATION),
)


def main(options: Sequence[str] = ()) -> None:
    """Measure everything where there is a GPU; else print the plan."""
    if options:
        sys.exit(f"gpu takes no options, not '{options[0]}'.")
    print(plan(), flush=True)
    gpu = graphics_card()
    if gpu is None or not has_cuda():
        print("There is no NVIDIA GPU that torch can use: nothing was measured.")
        return
    folders = places()
    logs = folders[-1] if len(folders) > 1 else None
    measure("cuda", {part.name: part.seconds for part in PARTS}, folders, logs)


def plan() -> str:
    """The parts with their time, the data, and the packages that are missing."""
    total = sum(part.seconds for part in PARTS)
    lines = [f"python -m tests.benchmarks gpu: {len(PARTS)} parts, at most {total} s together, into {RESULTS}."]
    for part in PARTS:
        missing = missing_of(part)
        note = f"; skipped, for want of {', '.join(missing)}" if missing else ""
        lines.append(f"- {part.name} ({part.seconds} s): {part.title}{note}")
    for variable in ("CIFAR10", "MNIST"):
        found = next((name for name in (variable, f"{variable}_NPY") if os.environ.get(name)), None)
        lines.append(
            f"{variable}: {f'from {found}' if found else f'neither {variable} nor {variable}_NPY is set: digits'}"
        )
    lines.append(
        f"Training needs {', '.join(TRAINING)}; the evaluation also torchmetrics and matplotlib; Parquet files"
    )
    lines.append("that CIFAR10 or MNIST name also datasets and pyarrow. Nothing else, and nothing is installed.")
    return "\n".join(lines)


def missing_of(part: Part) -> list[str]:
    return [name for name in part.needs if find_spec(name) is None]


def has_cuda() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def graphics_card() -> list[str] | None:
    """Name, driver, memory and used memory of the first GPU, as nvidia-smi says; None where it says nothing."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-gpu={SMI}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    return [word.strip() for word in lines[0].split(",")] if done.returncode == 0 and lines else None


def places() -> list[Path]:
    """The folders that get the results."""
    return [FOLDER, *([Path(os.environ["OUT"])] if os.environ.get("OUT") else [])]


def measure(device: str, seconds: Mapping[str, float], folders: Sequence[Path], logs: Path | None) -> None:
    """Measure the parts that `seconds` names, each for as long at most; write the results into `folders` after each,
    and each part's output into `logs`.
    """
    began, sections = time.monotonic(), []
    with tempfile.TemporaryDirectory() as scratch, most_used_memory() as used:
        for part in [part for part in PARTS if part.name in seconds]:
            log = (logs or Path(scratch)) / f"gpu-{part.name}.log"
            sections.append(section_of(part, device, seconds[part.name], log, Path(scratch) / "home"))
            page = "\n".join([*heading(device, time.monotonic() - began, used), *sections])
            for folder in folders:
                write_bytes(folder / RESULTS, page.encode())
            print(sections[-1], flush=True)


def heading(device: str, seconds: float, used: Sequence[str]) -> list[str]:
    import torch

    state, card = git_state(), graphics_card() if device == "cuda" else None
    commit = state["git.commit"][:7] + (" with changes" if state["git.dirty"] == "true" else "")
    where = f"{card[0]} ({card[2]}, driver {card[1]})" if card else "the CPU"
    most = f" At most {max(used, key=lambda text: int(text.split()[0]))} of its memory were in use." if used else ""
    return [
        f"# On {'a GPU' if card else 'a CPU'}",
        "",
        f"`python -m tests.benchmarks gpu` on {where}, torch {torch.__version__}, Python {sys.version.split()[0]}, "
        f"commit {commit}; {seconds:.0f} s so far.{most}",
        "",
    ]


@contextmanager
def most_used_memory(every: float = 2.0) -> Iterator[list[str]]:
    """The GPU's used memory as nvidia-smi says, every so many seconds; empty where there is none."""
    found: list[str] = []
    ended = threading.Event()

    def look() -> None:
        while (card := graphics_card()) and not ended.wait(every):
            if card[3].split()[0].isdigit():
                found.append(card[3])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def section_of(part: Part, device: str, seconds: float, log: Path, home: Path) -> str:
    """Measure a part in a process of its own, and its lines of Markdown, whatever becomes of it."""
    lines = [f"## {part.title}", ""]
    if missing := missing_of(part):
        return "\n".join([*lines, f"Skipped: {', '.join(missing)} cannot be imported here.", ""])
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.benchmarks.gpu_parts", part.name, device, str(seconds)]
    end = ended_process(command, log, seconds, home)
    took = f"`{part.name}` took {time.monotonic() - began:.0f} s of {seconds:.0f} and {end}."
    rows = rows_of(log.read_text(errors="replace"))
    return "\n".join([*lines, took, "", *(table(rows) if rows else ["No figure was there."]), ""])


def ended_process(command: Sequence[str], log: Path, seconds: float, home: Path) -> str:
    """Run a command for at most `seconds`, with its output in `log` and GENLIB_HOME at `home`, which parts share; a
    phrase about its end.
    """
    environment = os.environ | {"GENLIB_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "was ended at its time"
        finally:  # with all that it started
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code == 0:
        return "finished"
    said = log.read_text(errors="replace").replace(str(PROJECT), ".").replace(str(home), "GENLIB_HOME").splitlines()
    lines = [line.strip() for line in said if line.strip() and not line.startswith(MARK)]
    return f"failed ({re.sub('[`|]', '', lines[-1])[:300] if lines else f'exit code {code}'})"


def rows_of(output: str) -> list[Row]:
    """The rows in a part's output; a line that was cut off is left out."""
    found = []
    for line in output.splitlines():
        if line.startswith(MARK):
            try:
                found.append(json.loads(line.removeprefix(MARK)))
            except ValueError:
                continue
    return found


def table(rows: Sequence[Row]) -> list[str]:
    lines = ["| what | figure | remark |", "| --- | --- | --- |"]
    return lines + [f"| {row['what']} | {row['figure']} | {row['remark']} |" for row in rows]
