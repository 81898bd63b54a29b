"""The training loop: turns of a method's phases, a function of the configuration alone."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from genlib.config import METRICS, RunConfig
from genlib.data.batches import Batches
from genlib.data.folder import DatasetFolder
from genlib.methods import GenerativeModel, Losses, build_method
from genlib.pixels import picture, write_png
from genlib.randomness import seed_draws, seed_for
from genlib.sampling import TrainedSampler, export_sampler
from genlib.training.checkpoint import (
    Progress,
    checkpoint_path,
    finished_checkpoints,
    load_checkpoint,
    note_progress,
    save_checkpoint,
)
from genlib.training.ema import MovingAverage
from genlib.training.meter import LossMeter
from genlib.training.phases import ActivePhase
from genlib.training.run_folder import RunFolder
from genlib.training.settle import settle, spec_of
from genlib.training.signals import Interrupted, StopRequest

GRID, REAL_POINTS = 64, 2000  # images of a sample grid; points of the data below those of a sample

# The metrics of a model, which may be altered, asking the function before every chunk of work whether to stop.
Evaluate = Callable[[GenerativeModel, Callable[[], bool]], dict[str, float]]


class Diverged(Exception):
    """A loss stopped being finite."""


class Trainer:
    """One run on this process, alone or as one of several under accelerate launch or torchrun."""

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder,
        dataset: DatasetFolder,
        accelerator: Accelerator,
        evaluate: Evaluate | None = None,
    ) -> None:
        self.config, self.run_folder, self.dataset, self.accelerator = config, run, dataset, accelerator
        self.evaluate = evaluate
        training = config.training
        ranks, rank = accelerator.num_processes, accelerator.process_index
        self.micro_batches = training.micro_batches or ranks
        share = self.micro_batches // ranks
        self.mine = range(rank * share, (rank + 1) * share)
        torch.manual_seed(seed_for("weights", training.seed))
        self.method = build_method(config.method, spec_of(dataset)).to(accelerator.device).train()
        layout = torch.channels_last if training.channels_last else torch.contiguous_format
        self.method.to(memory_format=layout)  # type: ignore[call-overload]
        self.average = MovingAverage(self.method.model, training.ema_half_life)
        self.phases = [
            ActivePhase(accelerator, self.method, phase, training.compile, training.gradient_clip)
            for phase in self.method.phases
        ]
        self.optimizers = {active.phase.name: active.optimizer for active in self.phases}
        self.batches = Batches(
            dataset.images("train"),
            dataset.labels("train"),
            batch_size=training.batch_size,
            micro_batches=self.micro_batches,
            mine=self.mine,
            draws=max(phase.repeats for phase in self.method.phases),
            seed=training.seed,
            device=accelerator.device,
            resident_bytes=training.resident_gib * 2**30,
            memory_format=layout,
            binarize=config.data.binarize == "draw",
        )
        self._gate = f"evaluation/{config.registry.metric}"
        self.meter = LossMeter()
        self.progress = Progress()

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        checkpoints = finished_checkpoints(self.run_folder.checkpoints)
        if checkpoints:
            self.progress = load_checkpoint(checkpoints[-1], self.method, self.average.module, self.optimizers)
            best = checkpoint_path(self.run_folder.best, self.progress.best_step)
            if best not in finished_checkpoints(self.run_folder.best):
                self.progress.best_value = None  # a later one took its place after this checkpoint; it will come again
        if self.accelerator.is_main_process:
            self.run_folder.keep_metrics_until(self.progress.step)

    def train(self, stop: StopRequest) -> str:
        """Train to the last step or to a stop; returns "finished" or "preempted". Raises Diverged."""
        training, progress = self.config.training, self.progress
        self.clock = Clock(progress)
        with self._progress_bar() as bar:
            if progress.step and self._due(progress.step):  # an earlier attempt was stopped inside this evaluation
                if not self._evaluated(stop, bar, {}):
                    return "preempted"
                self._note_progress()
            while progress.step < training.steps:
                self._step(progress.step)
                progress.step += 1
                progress.images += self.batches.images_per_step
                last, stopped = progress.step == training.steps, stop.agreed()
                self.average.update(progress.step, self.batches.images_per_step, last)
                bar.update()
                saving = last or stopped or progress.step % training.checkpoint_every == 0
                due = self._due(progress.step)
                losses: dict[str, float] = {}
                if saving or due or progress.step % training.log_every == 0:
                    losses = self._losses()  # before a checkpoint too: none is made of weights that are no numbers
                if last or progress.step % training.sample_every == 0:
                    self._sample()
                if saving:
                    self._save()  # before an evaluation, which may be long
                if due and not stopped:
                    stopped = not self._evaluated(stop, bar, losses)
                    if saving:
                        self._note_progress()
                    elif stopped:
                        self._save()
                elif losses:
                    self._log(bar, losses)
                if stopped and (not last or self._due(progress.step)):
                    return "preempted"
        return "finished"

    def _step(self, step: int) -> None:
        """One turn of every phase. Each micro-batch draws from (seed, step, phase, repeat, micro-batch)."""
        draws = self.batches.of_step(step)
        self.method.begin_step(step)
        seed, share = self.config.training.seed, 1 / len(self.mine)
        for active in self.phases:
            active.take_turn(self.method)
            name = active.phase.name
            for repeat in range(active.phase.repeats):
                statistics: list[Losses] = []
                for part, batch in zip(self.mine, draws[repeat], strict=True):
                    seed_draws(seed_for("draws", seed, step, name, repeat, part), self.accelerator.device)
                    losses = active.backward(batch, share, reduce=part == self.mine[-1])
                    self.meter.add(name, {key: value for key, value in losses.items() if value.dim() == 0})
                    statistics.append({key: value.detach() for key, value in losses.items() if value.dim() > 0})
                norm = active.step()
                if norm is not None:
                    self.meter.add(f"{name}/gradient", {"norm": norm})
                self.method.after_update(name, self._joined(statistics))

    def _joined(self, statistics: list[Losses]) -> Losses:
        """Those of all micro-batches of all processes, in the micro-batches' order."""
        mine = {key: torch.cat([part[key] for part in statistics]) for key in statistics[0]}
        return {key: self.accelerator.gather(value) for key, value in mine.items()}

    def _losses(self) -> dict[str, float]:
        """Their means since the last call, and the speed; the only wait for the device. Raises Diverged."""
        names, means = self.meter.means()
        means = self.accelerator.reduce(means, reduction="mean")
        values = dict(zip(names, means.tolist(), strict=True))
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise Diverged(
                f"{broken[0]} is {values[broken[0]]} at step {self.progress.step}; "
                "lower the learning rate, or set training.gradient_clip."
            )
        return {"images_per_second": round(self.clock.lap(), 1), **values}

    def _log(self, bar: tqdm, values: dict[str, float]) -> None:
        """Write a line of metrics."""
        if not self.accelerator.is_main_process:
            return
        progress = self.progress
        line = {"step": progress.step, "images": progress.images, "seconds": round(progress.seconds, 3)}
        with self.run_folder.metrics_file.open("a") as file:
            file.write(json.dumps(line | values) + "\n")
        rate = f"{values['images_per_second']:,.0f} images/s  " if "images_per_second" in values else ""
        telling = [name for name in values if name.startswith(tuple(self.optimizers)) or name == self._gate]
        shown = "  ".join(f"{name} {values[name]:.4g}" for name in telling)
        if bar.disable:
            print(f"step {progress.step}/{self.config.training.steps}  {rate}{shown}", flush=True)
        else:
            bar.set_postfix_str(shown)

    def _due(self, step: int) -> bool:
        """Whether the step is to be evaluated and has not been, by the metric that counts now."""
        every, progress = self.config.evaluation.every, self.progress
        done = progress.evaluated == step and progress.metric == self.config.registry.metric
        if self.evaluate is None or every is None or done:
            return False
        return step % every == 0 or step == self.config.training.steps

    def _evaluated(self, stop: StopRequest, bar: tqdm, losses: dict[str, float]) -> bool:
        """Evaluate the moving average and log it together with the losses; False if a stop came in between.

        The training does not notice: the model is a copy, and the evaluation's draws are its own.
        """
        assert self.evaluate is not None
        progress, metric = self.progress, self.config.registry.metric
        with self.clock.paused():
            try:
                values = self.evaluate(deepcopy(self.average.current()), stop.agreed)
            except Interrupted:
                self._log(bar, losses)
                return False
            if progress.metric != metric:
                progress.metric, progress.best_value = metric, None
            progress.evaluated, progress.last_value = progress.step, values.get(metric)
            if self._is_best(progress.last_value):
                progress.best_step, progress.best_value = progress.step, progress.last_value
                self._keep_best()
        self._log(bar, losses | {f"evaluation/{name}": value for name, value in values.items()})
        return True

    def _is_best(self, value: float | None) -> bool:
        best = self.progress.best_value
        if value is None or best is None:
            return value is not None
        return value < best if METRICS[self.config.registry.metric] == "lower" else value > best

    def _keep_best(self) -> None:
        """The checkpoint in a folder of its own, where no later one takes its place but a better one."""
        if self.accelerator.is_main_process:
            self._write_checkpoint(self.run_folder.best, keep=1)
            self._export(self.run_folder.best / "sampler")

    def _sample(self) -> None:
        """A picture from the same latents every time; of a conditional sampler a column for each label."""
        if self.accelerator.is_main_process:
            shown = self._sampler().exhibit(GRID, self.config.training.seed)
            real = torch.tensor(self.dataset.images("test")[:REAL_POINTS]) if self.dataset.is_points else None
            picture_of = picture(shown.images, real, columns=shown.columns)
            write_png(self.run_folder.samples / f"step-{self.progress.step:08d}.png", picture_of)

    def _sampler(self) -> TrainedSampler:
        model = self.average.current()
        settle(model, self.dataset, self.config.data)
        return TrainedSampler(model.sampler, spec_of(self.dataset).shape, self.dataset.label_shares())

    def _save(self) -> None:
        self.clock.stop()
        if self.accelerator.is_main_process:
            self._write_checkpoint(self.run_folder.checkpoints, self.config.training.keep_checkpoints)

    def _note_progress(self) -> None:
        """What an evaluation found, into the checkpoint of this step."""
        if self.accelerator.is_main_process:
            note_progress(self.run_folder.checkpoints, self.progress)

    def _write_checkpoint(self, folder: Path, keep: int) -> None:
        save_checkpoint(folder, self.progress, self.method, self.average.current(), self.optimizers, keep)

    def export(self) -> None:
        """Write the averaged sampler, its batch-norm statistics re-estimated."""
        if self.accelerator.is_main_process:
            self._export(self.run_folder.sampler)

    def _export(self, folder: Path) -> None:
        info = {
            "model": self.config.registry.model,
            "step": self.progress.step,
            "images": self.progress.images,
            "ema_half_life": self.config.training.ema_half_life,
            "dataset_hash": self.dataset.manifest.content_hash,
        }
        export_sampler(folder, self._sampler(), self.config, self.dataset.manifest.label_names, info)

    def _progress_bar(self) -> tqdm:
        hidden = True if not self.accelerator.is_main_process else None  # None: hidden where there is no terminal
        return tqdm(total=self.config.training.steps, initial=self.progress.step, unit="step", disable=hidden)


class Clock:
    """Seconds of the run, carried on from the checkpoint, and images per second since the last lap."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.began = time.perf_counter() - progress.seconds
        self.stop()
        self.lap_images, self.lap_seconds = progress.images, progress.seconds

    def stop(self) -> None:
        self.progress.seconds = time.perf_counter() - self.began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens meanwhile is no training."""
        began = time.perf_counter()
        yield
        self.began += time.perf_counter() - began

    def lap(self) -> float:
        self.stop()
        progress = self.progress
        rate = (progress.images - self.lap_images) / max(progress.seconds - self.lap_seconds, 1e-9)
        self.lap_images, self.lap_seconds = progress.images, progress.seconds
        return rate
