"""The parts of the measurement on a GPU, each a function from a device and its seconds to rows, which come as they are
measured. On "cpu" they do the same work, without what a CPU has not.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

from tests.benchmarks.data import CONFIGS, PROJECT
from tests.benchmarks.gpu import MARK, Row

if TYPE_CHECKING:
    import numpy as np

    from genlib.runs.folder import RunFolder

BEST_GAN = "cgan_cifar10"
SLOWEST = "R3GAN of width 32, 32x32, batch 32"
Loop = Callable[[int], None]


def main(name: str, device: str, seconds: str) -> None:
    """Print the rows of a part."""
    for row in PARTS[name](device, float(seconds)):
        print(f"{MARK}{json.dumps(row)}", flush=True)


def row_of(what: str, figure: str, remark: str = "") -> Row:
    return {"what": what, "figure": figure, "remark": remark}


def cuda_tests(device: str, seconds: float) -> Iterator[Row]:
    """Tests of training that need a GPU: graphs, bad updates, bf16, channels_last; at last those that compile."""
    yield from tested("tests/training", "not compil")
    yield from tested("tests/training", "compil")


def augmentations(device: str, seconds: float) -> Iterator[Row]:
    """Tests of ADA and DiffAugment, with the same draws on the GPU and on the CPU."""
    yield from tested("tests/augmentation")


def tested(folder: str, keywords: str = "") -> Iterator[Row]:
    """A row for each test marked `gpu` in a folder that the keywords choose, as soon as it has ended."""
    options = ["-m", "gpu", "-k", keywords, "-v", "-p", "no:cacheprovider", "-o", "addopts=", "--tb=line"]
    command = [sys.executable, "-m", "pytest", *options, folder]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="")
            if found := re.match(r"tests/\S*?(\w+)\.py::(\S+) (PASSED|FAILED|ERROR|SKIPPED)", line):
                yield row_of(f"{found[1]}: {found[2]}", found[3].lower())


def nccl(device: str, seconds: float) -> Iterator[Row]:
    """A training in one process joined by NCCL (on a CPU: gloo) has the weights of one that joined nobody."""
    steps = 200 if device == "cuda" else 5
    settings = [f"training.steps={steps}", "evaluation.every=null", f"training.device={device_key(device)}"]
    train = ["-m", "genlib", "train", str(CONFIGS / "vae_digits.yaml")]
    train += [word for setting in settings for word in ("--set", setting)]
    joined = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    with tempfile.TemporaryDirectory() as folder:
        outputs = {
            name: output_of(*launcher, *train, "--run-dir", f"{folder}/{name}")
            for name, launcher in {"alone": [], "joined": joined}.items()
        }
        from genlib.runs.folder import RunFolder

        alone, together = (RunFolder(f"{folder}/{name}") for name in outputs)
        version = re.search(r"NCCL version (\S+)", outputs["joined"])
        backend = f"NCCL {version[1]}" if version else "NCCL was not seen" if device == "cuda" else "gloo"
        status = together.result()["status"]
        yield row_of(f"{steps} steps of vae_digits under torchrun, one process", status, backend)
        difference = largest_difference(alone.sampler / "weights.safetensors", together.sampler / "weights.safetensors")
        yield row_of("largest difference of a weight from the training alone", f"{difference:.3g}")
        rates = [run.result()["images_per_second"] for run in (together, alone)]
        yield row_of("images/s under torchrun / alone", f"{rates[0] / rates[1]:.3f}", f"{rates[0]:,.0f} images/s")


def output_of(*arguments: str) -> str:
    """The output of a Python command; RuntimeError with its end where it fails."""
    environment = os.environ | {"NCCL_DEBUG": "VERSION"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:4])} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout + done.stderr


def largest_difference(file: Path, other: Path) -> float:
    from safetensors.torch import load_file

    first, second = load_file(file), load_file(other)
    return max((first[name].float() - second[name].float()).abs().max().item() for name in first)


def device_key(device: str) -> str:
    """The value of training.device."""
    return "cpu" if device == "cpu" else "auto"


VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {},
    "bf16": {"precision": "bf16"},
    "CUDA graphs": {"cuda_graphs": True},
    "compiled": {"compile": True},
}
STAGES = (("eager", "bf16"), ("CUDA graphs",), ("compiled",))  # all families pass one before any passes the next


def throughput(
    device: str,
    seconds: float,
    chunk: float = 0.3,
    rounds: int = 3,
    families: Sequence[str] = (),
    stages: Sequence[Sequence[str]] = STAGES,
) -> Iterator[Row]:
    """genlib's loop over the families, in each variant, against the bare loop in float32."""
    import torch
    from accelerate.state import AcceleratorState

    from genlib.errors import one_line
    from tests.benchmarks.families import FAMILIES, genlib_loop
    from tests.benchmarks.loops import bare_loop

    def compared(family: str, name: str) -> Row:
        AcceleratorState._reset_state()  # which has one precision for all
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        ours = genlib_loop(family, device=device_key(device), **VARIANTS[name])
        loops: dict[str, Loop] = {"bare loop": bare_loop(family, device=device), "genlib": ours}
        timed = in_turn(loops, waiting_for(device), chunk, rounds)
        ratios = [theirs / mine for theirs, mine in zip(timed["bare loop"], timed["genlib"], strict=True)]
        step = statistics.median(timed["genlib"])
        remark = f"{min(ratios):.3f} to {max(ratios):.3f}; {1000 * step:.2f} ms a step, "
        remark += f"{ours.trainer.images_per_step / step:,.0f} images/s"
        if device == "cuda":
            remark += f"; both loops' memory: {torch.cuda.max_memory_allocated() / 1e9:.2f} GB"
        return row_of(f"{family}: {name} / bare loop", f"{statistics.median(ratios):.3f}", remark)

    until = time.monotonic() + seconds
    for names in stages:
        for family in families or FAMILIES:
            for name in names:
                what = f"{family}: {name} / bare loop"
                if name == "CUDA graphs" and device == "cpu":
                    yield row_of(what, "skipped", "for GPUs alone")
                elif time.monotonic() > until:
                    yield row_of(what, "skipped", "no time was left")
                else:
                    try:
                        yield compared(family, name)
                    except Exception as error:  # of one variant: the others are measured all the same
                        yield row_of(what, "failed", f"{type(error).__name__}: {one_line(str(error))[:200]}")


def waiting_for(device: str) -> Callable[[], None]:
    """A function that returns once the device has done what it was asked for."""
    import torch

    return torch.cuda.synchronize if device == "cuda" else lambda: None


def in_turn(loops: dict[str, Loop], wait: Callable[[], None], chunk: float, rounds: int) -> dict[str, list[float]]:
    """Seconds for a step of each loop, in rounds in which they alternate, about `chunk` seconds a turn."""

    def timed(loop: Loop, steps: int) -> float:
        wait()
        began = time.perf_counter()
        loop(steps)
        wait()
        return (time.perf_counter() - began) / steps

    for loop in loops.values():
        timed(loop, 5)  # kernels are chosen, compiled or recorded
    steps = max(1, round(chunk / min(timed(loop, 3) for loop in loops.values())))
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds):
        for name in sorted(loops, reverse=turn % 2 == 1):
            found[name].append(timed(loops[name], steps))
    return found


def kernels(device: str, seconds: float, family: str = SLOWEST, steps: int = 3, most: int = 8) -> Iterator[Row]:
    """The operators that take most of the device's time in the steps of a family, as torch's profiler says."""
    from torch.profiler import ProfilerActivity, profile

    from tests.benchmarks.families import genlib_loop

    loop, wait = genlib_loop(family, device=device_key(device)), waiting_for(device)
    loop(3)
    wait()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profile(activities=kinds) as found:
        loop(steps)
        wait()
    attribute = f"self_{'device' if device == 'cuda' else 'cpu'}_time_total"
    times = {event.key: (getattr(event, attribute), event.count) for event in found.key_averages()}
    total = sum(microseconds for microseconds, _ in times.values())
    for name, (microseconds, count) in sorted(times.items(), key=lambda item: -item[1][0])[:most]:
        yield row_of(f"{family}: `{name[:80]}`", f"{microseconds / total:.3f}", f"{count / steps:,.0f} calls a step")


def cifar_gan(
    device: str, seconds: float, name: str = BEST_GAN, settings: Sequence[str] = (), share: float = 0.65
) -> Iterator[Row]:
    """CIFAR-10's GAN for a share of the time, its rate and its distances to the data."""
    from genlib.config.load import load_config

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data, labelled, remark = images_for("CIFAR10", 32, 3, Path(folder))
        asked = ["evaluation.seeds=1", "evaluation.every=null", f"training.cuda_graphs={str(device == 'cuda').lower()}"]
        if not labelled:
            without = ["method.conditioning=none", "method.discriminator_conditioning=concat"]
            asked += [*without, "evaluation.features=random", "registry.metric=fd_random"]
        config = load_config(
            CONFIGS / f"{name}.yaml", [*data, *asked, f"training.device={device_key(device)}", *settings]
        )
        run = trained_for(share * seconds, config, Path(folder) / "run")
        result = run.result()
        rate = f"{result['images_per_second']:,.0f}"
        whole = config.training.steps * config.training.batch_size / result["images_per_second"] / 60
        steps = f"{result['step']:,} steps of {config.training.steps:,} in {result['seconds']:.0f} s"
        yield row_of(f"{name}: images/s", rate, f"{steps}, {result['peak_memory_bytes'] / 1e9:.2f} GB; {remark}")
        yield row_of(f"{name}: minutes for all of its steps", f"{whole:.1f}")
        if time.monotonic() - began > 0.85 * seconds:
            yield row_of(f"{name}: metrics", "skipped", "no time was left")
            return
        for metric in ("fd_classifier", "fd_random", "precision", "coverage"):
            yield from metric_row(run, name, metric, f"after {result['step']:,} steps; {remark}")


def burda_vae(device: str, seconds: float, settings: Sequence[str] = (), share: float = 0.65) -> Iterator[Row]:
    """The VAE of the published table by the paper's schedule, for a share of the time; how long all of it takes."""
    from genlib.config.load import load_config
    from tests.benchmarks.published import PUBLISHED, SETTINGS, STEPS

    (name, (k, published, _)), began = next(iter(PUBLISHED.items())), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data, _, remark = images_for("MNIST", 28, 1, Path(folder))
        asked = [
            *SETTINGS,
            f"method.importance_samples={k}",
            f"training.steps={STEPS}",
            "evaluation.likelihood_images=1000",
        ]
        asked += [f"training.device={device_key(device)}", f"training.cuda_graphs={str(device == 'cuda').lower()}"]
        config = load_config(CONFIGS / "iwae_mnist.yaml", [*data, *asked, *settings])
        run = trained_for(share * seconds, config, Path(folder) / "run")
        result = run.result()
        rate = result["step"] / result["seconds"]
        yield row_of(
            f"{name}: steps/s", f"{rate:,.0f}", f"{result['step']:,} steps in {result['seconds']:.0f} s; {remark}"
        )
        yield row_of(f"{name}: hours for all of the {STEPS:,} steps", f"{STEPS / rate / 3600:.1f}")
        if time.monotonic() - began > 0.85 * seconds:
            yield row_of(f"{name}: test NLL", "skipped", "no time was left")
            return
        after = f"nats, 1,000 test images; published after all steps: {published}; {remark}"
        yield from metric_row(run, f"{name} after {result['step']:,} steps", "log_likelihood", after)


def metric_row(run: RunFolder, name: str, metric: str, remark: str) -> Iterator[Row]:
    """A metric of the run, which is evaluated for the first; nothing where it has none."""
    if not run.evaluation():
        from genlib.evaluation.evaluate import evaluate

        evaluate(run, with_baseline=False)  # which takes longer than there is time for
    if entry := run.evaluation()["metrics"].get(metric):
        floor = "" if entry["floor"] is None else f"floor {entry['floor']:.4g}; "
        yield row_of(f"{name}: {metric}", f"{entry['value']:.4g}", floor + remark)


def trained_for(seconds: float, config: Any, path: Path) -> RunFolder:
    """The folder of a run that trained for so many seconds of the clock, with its sampler as it was then."""
    from accelerate.state import AcceleratorState

    from genlib.data.making.prepare import prepare
    from genlib.runs.opening import open_run
    from genlib.runtime.host import denormals_flushed
    from genlib.runtime.signals import StopRequest
    from genlib.training.result import result_of
    from genlib.training.train import make_accelerator
    from genlib.training.trainer import Trainer

    dataset = prepare(config.data, progress=False)
    AcceleratorState._reset_state()  # an earlier training of this process may have had another precision
    with denormals_flushed(), ExitStack() as stack:
        accelerator = make_accelerator(config)
        run = open_run(config, path, dataset, accelerator.num_processes, stack)
        trainer = Trainer(run.config(), run, dataset, accelerator)
        trainer.resume()
        with StopRequest(config.training.timeout) as stop:
            timer = threading.Timer(seconds, partial(setattr, stop, "signal", SIGTERM))
            timer.start()
            status = trainer.train(stop)
            timer.cancel()
        trainer.export()
        run.write_result(**result_of(trainer, status, ""))
    return run


def images_for(variable: str, size: int, channels: int, folder: Path) -> tuple[list[str], bool, str]:
    """Overrides that name images, whether they have labels, and a remark on them.

    They are those that the environment variable names, else those of the array that VARIABLE_NPY names, uint8
    (N, C, H, W), with labels from NAME-labels.npy beside it, else digits of 8x8 pixels, enlarged.
    """
    import numpy as np

    if os.environ.get(variable):
        return [f"data.source={Path(os.environ[variable]).resolve()}"], True, f"{variable}'s files"
    if file := os.environ.get(f"{variable}_NPY"):
        images, beside = np.load(file), Path(file).with_name(f"{Path(file).stem}-labels.npy")
        labels = np.load(beside) if beside.exists() else None
        remark = f"{len(images):,} images of {variable}_NPY, a fifth of them held out"
    else:
        from sklearn.datasets import load_digits

        from tests.benchmarks.families import synthetic_images

        digits = load_digits()
        images, labels = synthetic_images(size, channels, len(digits.target)), digits.target
        remark = f"{len(images):,} enlarged digits of 8x8 pixels: no figure of {variable}"
    source = written(folder / "images", images, labels)
    held_out = ["data.test_split=null", "data.test_fraction=0.2"]
    return [f"data.source={source}", *held_out], labels is not None, remark


def written(folder: Path, images: np.ndarray, labels: np.ndarray | None) -> Path:
    """The folder with uint8 images (N, C, H, W) as PNG files, in a subfolder for each class where there are labels."""
    from PIL import Image

    for number, image in enumerate(images):
        place = folder / f"class-{labels[number]}" if labels is not None else folder
        place.mkdir(parents=True, exist_ok=True)
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(place / f"{number:06d}.png", compress_level=1)
    return folder


PARTS: dict[str, Callable[[str, float], Iterator[Row]]] = {
    function.__name__: function
    for function in (cuda_tests, augmentations, nccl, kernels, throughput, cifar_gan, burda_vae)
}


if __name__ == "__main__":
    main(*sys.argv[1:])
