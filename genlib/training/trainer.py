"""The training loop, a function of the configuration alone.

while step < steps:
    for phase in phases:
        for batches in the phase's draws of this step:
            phase.turn(batches)              # gradients of all micro-batches, then one update
    average.update()
    due = due_after(step, ...)
    if due.judge and too_many_bad_updates:   # losses or gradients were NaN or infinite
        go_back_to_a_checkpoint()
    if due.show: show_samples()
    if due.save: save_a_checkpoint()
    if due.evaluate: evaluate(average)
    if due.log: log_losses()
    if due.stop: return "preempted"
return "finished"
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from genlib.config.metrics import direction_of
from genlib.config.run import RunConfig
from genlib.data.batches import Batches
from genlib.data.folder import DatasetFolder
from genlib.data.parts import parts_of_train
from genlib.models.base import GenerativeModel, Losses, draws_of
from genlib.runs.checkpoints import checkpoint_path, finished_checkpoints
from genlib.runs.folder import RunFolder
from genlib.runtime.randomness import seed_for
from genlib.runtime.ranks import on_first_process
from genlib.runtime.signals import Interrupted, StopRequest
from genlib.runtime.threads import torch_threads
from genlib.training.due import Due, due_after
from genlib.training.exporter import Exporter
from genlib.training.graphs import CudaGraphs
from genlib.training.outputs import CheckpointWriter, MetricsLog, Warn, attempt
from genlib.training.phases import ActivePhase, Eager
from genlib.training.settle import spec_of
from genlib.training.state.bad_updates import WINDOW, BadUpdates, any_phase, extents, restore_where, state_buffers
from genlib.training.state.checkpoint import (
    Snapshot,
    load_checkpoint,
    newest_until,
    newest_whole,
    note_numbers,
    save_checkpoint,
    take_snapshot,
)
from genlib.training.state.clock import Clock
from genlib.training.state.ema import MovingAverage
from genlib.training.state.evaluations import Evaluations
from genlib.training.state.meter import LossMeter
from genlib.training.state.optimizers import Optimizers
from genlib.training.state.parts import TrainingState
from genlib.training.state.progress import Progress
from genlib.training.state.sentinel import Sentinel
from genlib.training.state.threads import ThreadsOfSteps, asked_threads

# From a model, which it may alter, to metrics; it asks the function before every chunk of work whether to stop.
Evaluate = Callable[[GenerativeModel, Callable[[], bool]], dict[str, float]]


class Diverged(Exception):
    """The training has failed for good; the message says why."""


class Trainer:
    """One run on this process, alone or as one of several under accelerate launch or torchrun."""

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder,
        dataset: DatasetFolder,
        accelerator: Accelerator,
        evaluate: Evaluate | None = None,
        warn: Warn = print,
        check_place: Callable[[], None] = lambda: None,  # raises where the run folder is gone
    ) -> None:
        self.config, self.run_folder, self.dataset, self.accelerator = config, run, dataset, accelerator
        self.evaluate, self.warn, self.check_place = evaluate, warn, check_place
        training = config.training
        ranks, rank = accelerator.num_processes, accelerator.process_index
        self.micro_batches = training.micro_batches or ranks
        share = self.micro_batches // ranks
        self.mine = range(rank * share, (rank + 1) * share)
        learned_from, left_out = parts_of_train(config, dataset.manifest.counts["train"])
        spec = spec_of(dataset, config.condition)._replace(rows=len(learned_from))
        torch.manual_seed(seed_for("weights", training.seed))
        self.method = config.method.build(spec).to(accelerator.device).train()
        layout = torch.channels_last if training.channels_last else torch.contiguous_format
        self.method.to(memory_format=layout)  # type: ignore[call-overload]
        self.buffers = state_buffers(self.method)
        self.average = MovingAverage(self.method.model, training.ema_half_life)
        self.phases = [
            ActivePhase(
                accelerator,
                self.method,
                phase,
                steps=training.steps,
                compiled=training.compile,
                gradient_clip=training.gradient_clip,
                execution=CudaGraphs() if training.cuda_graphs else Eager(),
            )
            for phase in self.method.phases
        ]
        self.optimizers = Optimizers({active.phase.name: active.optimizer for active in self.phases})
        self.draws = draws_of(self.method.phases)
        # What one phase draws for itself does not count: the images of a step are those that the longest phase sees.
        self.images_per_step = max(phase.repeats for phase in self.method.phases) * training.batch_size
        condition = self.method.model.sampler.condition
        self.batches = Batches(
            dataset.images("train"),
            dataset.labels("train"),
            batch_size=training.batch_size,
            micro_batches=self.micro_batches,
            mine=self.mine,
            draws=max(draws.stop for draws in self.draws.values()),
            seed=training.seed,
            device=accelerator.device,
            resident_bytes=training.resident_gib * 2**30,
            memory_format=layout,
            mirror=config.data.mirror,
            binarize=config.data.binarize == "draw",
            condition=condition,
            contexts=condition.stored(dataset, "train") if condition else None,
            chosen=learned_from if len(left_out) else None,
        )
        self.progress, self.clock, self.evaluations = Progress(), Clock(), Evaluations()
        self.meter = LossMeter(accelerator.device, counts_loaded=accelerator.is_main_process)
        self.bad_updates = BadUpdates(list(self.optimizers), accelerator.device)
        self.sentinel = Sentinel(self.method.symptoms, training.collapse_steps)
        self.threads = ThreadsOfSteps(torch_threads(), asked_threads(training, accelerator.device))
        numbers = (
            self.progress,
            self.clock,
            self.evaluations,
            self.bad_updates,
            self.meter,
            self.sentinel,
            self.threads,
        )
        self.state = TrainingState(self.method, self.average, self.optimizers, numbers)
        self.exporter = Exporter(config, run, dataset, self.average, warn)
        self.writer = CheckpointWriter(warn)
        self.metrics = MetricsLog(run.metrics_file, warn)
        self._start()

    def resume(self) -> None:
        """Go on from the newest checkpoint that is whole, if there is one."""
        checkpoint = on_first_process(lambda: newest_whole(self.run_folder.checkpoints, self.warn))
        if checkpoint:
            self._load(checkpoint)
            self._start()
        if self.accelerator.is_main_process:
            self.run_folder.keep_metrics_until(self.progress.step)
        if not checkpoint:
            self._save()  # a rollback may need it

    def _load(self, checkpoint: Path) -> None:
        # Accelerate's name for the CPU may have a number, which safetensors does not take.
        load_checkpoint(checkpoint, self.state, next(self.method.parameters()).device)
        best = checkpoint_path(self.run_folder.best, self.evaluations.best_step)
        if best not in finished_checkpoints(self.run_folder.best):
            self.evaluations.best_value = None  # it was replaced since this checkpoint, and will be found again

    def _start(self) -> None:
        """Train on from the present state. After a rollback: with other data and draws, and maybe at a lower rate."""
        training, rollbacks = self.config.training, len(self.bad_updates.rollbacks)
        self.seed = seed_for("rollback", training.seed, rollbacks) if rollbacks else training.seed
        self.batches.begin(self.seed)
        for active in self.phases:
            active.reset(training.rollback_learning_rate**rollbacks)
        self.good_until = self.progress.step // WINDOW * WINDOW  # no rollback goes back before this step any more
        self.clock.start(self.progress.images)

    def train(self, stop: StopRequest) -> str:
        """Train to the last step or to a stop; returns "finished" or "preempted". Raises Diverged."""
        try:
            with self._progress_bar() as bar:
                return self._train(stop, bar)
        finally:
            self.writer.wait()

    def _train(self, stop: StopRequest, bar: tqdm) -> str:
        progress, clock = self.progress, self.clock
        clock.start(progress.images)
        if progress.step and self._due(stopped=False).evaluate:  # an earlier attempt was stopped in this evaluation
            if not self._evaluate(stop, bar, {}):
                return "preempted"
            self._note_numbers()
        while progress.step < self.config.training.steps:
            self.threads.begin_step(progress.step)
            self.take_step(progress.step)
            progress.advance(self.images_per_step)
            self.average.update(progress.step, self.images_per_step, progress.step == self.config.training.steps)
            bar.update()
            due = self._due(stop.agreed())
            if due.judge or due.log or due.save:
                self.bad_updates.read(progress.step)
            if due.judge:
                if self.bad_updates.too_many(progress.step, self.config.training.bad_steps):
                    bar.update(self._roll_back())
                    continue
                self.bad_updates.end_window()
                self.good_until = progress.step
            if due.log or due.save:
                self.meter.read(partial(self.accelerator.reduce, reduction="sum"))
            losses = self._losses() if due.log else {}
            if due.log or due.save or due.show:
                self.check_place()
            if due.show and self.accelerator.is_main_process:
                self.exporter.show(progress.step)
            if due.save:
                self._save()  # before an evaluation, which may be long
            if due.evaluate:
                evaluated = self._evaluate(stop, bar, losses)
                if due.save:
                    self._note_numbers()
                elif not evaluated:
                    self._save()
                if not evaluated:
                    return "preempted"
            elif due.log:
                self._log(bar, losses)
            if due.stop:
                return "preempted"
        return "finished"

    def _due(self, stopped: bool) -> Due:
        every = self.config.evaluation.every if self.evaluate else None
        evaluated = self.evaluations.include(self.progress.step, self.config.registry.metric)
        return due_after(self.progress.step, self.config.training, every, evaluated, stopped)

    def take_step(self, step: int) -> None:
        """The turns of every phase in step `step` (from 0). Each micro-batch draws from (seed, step, phase, repeat,
        micro-batch).
        """
        batches = self.batches.of_step(step)
        self.method.begin_step(step)
        for active in [each for each in self.phases if each.has_turn(step)]:
            active.begin_step(step)
            name = active.phase.name
            for repeat, draw in enumerate(self.draws[name]):
                before = [buffer.clone() for buffer in self.buffers]
                seeds = [seed_for("draws", self.seed, step, name, repeat, number) for number in self.mine]
                turn = active.turn(batches[draw], seeds)
                for losses in turn.losses:
                    self.meter.add(name, {key: value for key, value in losses.items() if value.dim() == 0})
                if turn.norm is not None:
                    self.meter.add(f"{name}/gradient", {"norm": turn.norm})
                self.method.after_update(name, self._statistics(turn.losses))
                if before:
                    restore_where(turn.bad, self.buffers, before)
                self.bad_updates.note(name, step, turn.bad)

    def _statistics(self, losses: list[Losses]) -> Losses:
        """The statistics of all processes' micro-batches, joined in the order of the micro-batches."""
        names = [name for name, value in losses[0].items() if value.dim() > 0]
        mine = {name: torch.cat([of_one[name] for of_one in losses]) for name in names}
        return {name: self.accelerator.gather(value) for name, value in mine.items()}

    def _roll_back(self) -> int:
        """Return to the newest checkpoint from before the bad updates; raises Diverged after too many returns.

        Returns the steps that it went on by: a negative number.
        """
        bad, run, clock, at = self.bad_updates, self.run_folder, self.clock, self.progress.step
        clock.stop()
        seconds, count, rollbacks, steps, seen = clock.seconds, bad.count, bad.rollbacks, bad.steps, bad.sentence()
        if len(rollbacks) == self.config.training.rollbacks:
            again = f" again, after {len(rollbacks)} rollbacks" if rollbacks else ""
            raise Diverged(f"{seen}{again}; lower the learning rate, or set training.gradient_clip.")
        self.writer.wait()
        first = any_phase(steps)[0]
        checkpoint = on_first_process(lambda: newest_until(run.checkpoints, first, self.warn))
        if checkpoint is None:
            raise Diverged(f"{seen}, and there is no checkpoint to go back to; lower the learning rate.")
        self._load(checkpoint)
        # Time, bad updates and rollbacks count for the whole run.
        reason = {"at": at, "back_to": self.progress.step, "skipped_steps": extents(steps)}
        clock.seconds, bad.earlier, bad.rollbacks = seconds, count, [*rollbacks, reason]
        self._start()
        if self.accelerator.is_main_process:
            self.warn(f"{seen}: back to the checkpoint of step {self.progress.step}, with other data and draws.")
            note_numbers(checkpoint, self.state.numbers)
            self.metrics.forget()
            run.keep_metrics_until(self.progress.step)
        return self.progress.step - at

    def _losses(self) -> dict[str, float]:
        """Mean losses since the last line of metrics, learning rates that change, and the speed."""
        moving = [active for active in self.phases if active.moves_at(self.progress.step - 1)]
        return {
            "images_per_second": round(self.clock.lap(self.progress.images), 1),
            "skipped_steps": self.bad_updates.count,
            **{f"{active.phase.name}/learning_rate": active.learning_rate for active in moving},
            **self.meter.means(),
        }

    def _log(self, bar: tqdm, values: dict[str, float]) -> None:
        """Write a line of metrics; raises Diverged where they show a collapse that is to end the run."""
        progress = self.progress
        collapse = "; ".join(self.sentinel.look(progress.step, values))
        if self.accelerator.is_main_process:
            line = {"step": progress.step, "images": progress.images, "seconds": round(self.clock.seconds, 3)}
            self.metrics.write(line | values | self.writer.costs())
            rate = f"{values['images_per_second']:,.0f} images/s  " if "images_per_second" in values else ""
            shown_names = ("/total", "_score", f"evaluation/{self.config.registry.metric}")
            shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items() if name.endswith(shown_names))
            if bar.disable:
                print(f"step {progress.step}/{self.config.training.steps}  {rate}{shown}", flush=True)
            else:
                bar.set_postfix_str(shown)
            if collapse:
                self.warn(f"{collapse}.")
        if collapse and self.config.training.on_collapse == "stop":
            raise Diverged(f"{collapse}; training.on_collapse is 'stop'.")

    def _evaluate(self, stop: StopRequest, bar: tqdm, losses: dict[str, float]) -> bool:
        """Evaluate the moving average and log it together with the losses; False if a stop came in between.

        The training is not disturbed: the model is a copy, and the evaluation's draws are its own.
        """
        assert self.evaluate is not None
        record, step, metric = self.evaluations, self.progress.step, self.config.registry.metric
        with self.clock.paused():
            try:
                values = self.evaluate(deepcopy(self.average.current()), stop.agreed)
            except Interrupted:
                self._log(bar, losses)
                return False
            value = values.get(metric)
            if record.note(step, metric, value, lower_is_better=direction_of(metric) == "lower"):
                former = record.best_step, record.best_value
                record.best_step, record.best_value = step, value
                if not self._best_kept():
                    record.best_step, record.best_value = former
        self._log(bar, losses | {f"evaluation/{name}": value for name, value in values.items()})
        return True

    def _best_kept(self) -> bool:
        """Whether the checkpoint was saved in a folder of its own, where none but a better one replaces it."""

        def keep() -> None:
            save_checkpoint(self.run_folder.best, self._snapshot(), keep=1)
            self.exporter.export(self.run_folder.best / "sampler", self.progress)

        return not self.accelerator.is_main_process or attempt("the best model so far", keep, self.warn)

    def _save(self) -> None:
        self.clock.stop()
        if self.accelerator.is_main_process:
            keep = self.config.training.keep_checkpoints
            self.writer.save(self.run_folder.checkpoints, self._snapshot, keep, self.good_until)

    def _snapshot(self) -> Snapshot:
        return take_snapshot(self.state)

    def _note_numbers(self) -> None:
        """Write the outcome of an evaluation into the checkpoint of this step."""
        if self.accelerator.is_main_process and self.writer.wait():
            checkpoint = checkpoint_path(self.run_folder.checkpoints, self.progress.step)
            attempt("the evaluation's outcome", lambda: note_numbers(checkpoint, self.state.numbers), self.warn)

    def export(self) -> None:
        """Write the averaged sampler; OSError where the disk does not take it."""
        if self.accelerator.is_main_process:
            self.exporter.export(self.run_folder.sampler, self.progress)

    def _progress_bar(self) -> tqdm:
        hidden = True if not self.accelerator.is_main_process else None  # None: hidden where there is no terminal
        return tqdm(total=self.config.training.steps, initial=self.progress.step, unit="step", disable=hidden)
