"""The training loop: turns of a method's phases, a function of the configuration alone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import isfinite
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from genlib.config.metrics import METRICS
from genlib.config.run import RunConfig
from genlib.data.batches import Batches
from genlib.data.folder import DatasetFolder
from genlib.data.parts import parts_of_train
from genlib.models.base import GenerativeModel, Losses, draws_of
from genlib.runs.folder import RunFolder
from genlib.runtime.randomness import seed_draws, seed_for
from genlib.runtime.ranks import on_first_process
from genlib.runtime.signals import Interrupted, StopRequest
from genlib.training.exporter import Exporter
from genlib.training.graphs import active_phase
from genlib.training.outputs import CheckpointWriter, MetricsLog, Warn, attempt
from genlib.training.settle import spec_of
from genlib.training.state import bad_updates as bad_steps
from genlib.training.state.checkpoint import (
    Progress,
    Snapshot,
    checkpoint_path,
    finished_checkpoints,
    load_checkpoint,
    newest_until,
    newest_whole,
    note_progress,
    save_checkpoint,
    take_snapshot,
)
from genlib.training.state.clock import Clock
from genlib.training.state.ema import MovingAverage
from genlib.training.state.meter import LossMeter
from genlib.training.state.sentinel import Sentinel

# The metrics of a model, which may be altered, asking the function before every chunk of work whether to stop.
Evaluate = Callable[[GenerativeModel, Callable[[], bool]], dict[str, float]]


class Diverged(Exception):
    """The training has come to nothing; the message says what was seen."""


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
        self.buffers = bad_steps.state_buffers(self.method)
        self.average = MovingAverage(self.method.model, training.ema_half_life)
        self.phases = [active_phase(accelerator, self.method, phase, training) for phase in self.method.phases]
        self.optimizers = {active.phase.name: active.optimizer for active in self.phases}
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
            binarize=config.data.binarize == "draw",
            condition=condition,
            contexts=condition.stored(dataset, "train") if condition else None,
            chosen=learned_from if len(left_out) else None,
        )
        self.meter = LossMeter()
        self.skipped = bad_steps.SkippedSteps(list(self.optimizers), accelerator.device)
        self.exporter = Exporter(config, run, dataset, self.average, warn)
        self.writer = CheckpointWriter(warn)
        self.metrics = MetricsLog(run.metrics_file, warn)
        self._begin_course(Progress())

    def resume(self) -> None:
        """Go on from the newest checkpoint that is whole, if there is one."""
        checkpoint = on_first_process(lambda: newest_whole(self.run_folder.checkpoints, self.warn))
        if checkpoint:
            self._load(checkpoint)
        if self.accelerator.is_main_process:
            self.run_folder.keep_metrics_until(self.progress.step)
        if not checkpoint:
            self._save()  # what a rollback may need

    def _load(self, checkpoint: Path) -> None:
        progress = load_checkpoint(checkpoint, self.method, self.average.module, self.optimizers)
        best = checkpoint_path(self.run_folder.best, progress.best_step)
        if best not in finished_checkpoints(self.run_folder.best):
            progress.best_value = None  # a later one took its place after this checkpoint; it will come again
        self._begin_course(progress)

    def _begin_course(self, progress: Progress) -> None:
        """Train on from here. After a rollback: with other data and draws, and maybe at a lower rate."""
        self.progress = progress
        training, times = self.config.training, len(progress.rollbacks)
        self.seed = seed_for("rollback", training.seed, times) if times else training.seed
        self.batches.begin(self.seed)
        for active in self.phases:
            active.begin_course(training.rollback_learning_rate**times)
        main_alone = float(self.accelerator.is_main_process)
        self.meter.start(progress.unlogged, main_alone, self.accelerator.device)
        self.good_until = progress.step // bad_steps.WINDOW * bad_steps.WINDOW  # what no verdict can find bad any more
        self.skipped.start(progress.recently_skipped)
        self.sentinel = Sentinel(self.method.symptoms, training.collapse_steps, progress.signs)
        self.clock = Clock(progress)

    def train(self, stop: StopRequest) -> str:
        """Train to the last step or to a stop; returns "finished" or "preempted". Raises Diverged."""
        try:
            with self._progress_bar() as bar:
                return self._train(stop, bar)
        finally:
            self.writer.wait()

    def _train(self, stop: StopRequest, bar: tqdm) -> str:
        training = self.config.training
        self.clock = Clock(self.progress)
        if self.progress.step and self._due(self.progress.step):  # an earlier attempt was stopped in this evaluation
            if not self._evaluated(stop, bar, {}):
                return "preempted"
            self._note_progress()
        while self.progress.step < training.steps:
            progress = self.progress
            self._step(progress.step)
            progress.step += 1
            progress.images += self.images_per_step
            last, stopped = progress.step == training.steps, stop.agreed()
            self.average.update(progress.step, self.images_per_step, last)
            bar.update()
            saving = last or progress.step % training.checkpoint_every == 0
            due = self._due(progress.step)
            logging = saving or due or progress.step % training.log_every == 0
            judged = last or progress.step % bad_steps.WINDOW == 0
            if logging or judged or stopped:
                progress.recently_skipped = self.skipped.read(progress.step)
            if judged and not self._went_well():
                self._roll_back()
                bar.update(self.progress.step - progress.step)
                continue
            progress.unlogged = self._sums() if logging or stopped else {}
            losses = self._losses() if logging else {}
            showing = last or progress.step % training.sample_every == 0
            if logging or showing or stopped:
                self.check_place()
            if showing and self.accelerator.is_main_process:
                self.exporter.show(progress.step)
            if saving or stopped:
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
        batches = self.batches.of_step(step)
        self.method.begin_step(step)
        for active in [each for each in self.phases if each.has_turn(step)]:
            active.take_turn()
            active.learn_at(step)
            name = active.phase.name
            for repeat, draw in enumerate(self.draws[name]):
                before = [buffer.clone() for buffer in self.buffers]
                statistics: list[Losses] = []
                for part, batch in zip(self.mine, batches[draw], strict=True):
                    seed_draws(seed_for("draws", self.seed, step, name, repeat, part), self.accelerator.device)
                    losses = active.backward(batch, 1 / len(self.mine), reduce=part == self.mine[-1])
                    self.meter.add(name, {key: value for key, value in losses.items() if value.dim() == 0})
                    statistics.append({key: value.detach() for key, value in losses.items() if value.dim() > 0})
                skipped, norm = active.step()
                if norm is not None:
                    self.meter.add(f"{name}/gradient", {"norm": norm})
                self.method.after_update(name, self._joined(statistics))
                if before:
                    bad_steps.restore_where(skipped, self.buffers, before)
                self.skipped.note(name, step, skipped)

    def _joined(self, statistics: list[Losses]) -> Losses:
        """Those of all processes' micro-batches, in their order."""
        mine = {key: torch.cat([part[key] for part in statistics]) for key in statistics[0]}
        return {key: self.accelerator.gather(value) for key, value in mine.items()}

    def _went_well(self) -> bool:
        """The verdict on a window of steps; a new one begins if it is good."""
        progress = self.progress
        skipped = len(bad_steps.any_phase(progress.recently_skipped))
        if bad_steps.too_many(skipped, progress.step, self.config.training.bad_steps):
            return False
        progress.skipped += skipped
        progress.recently_skipped = {}
        self.skipped.start()
        self.good_until = progress.step
        return True

    def _roll_back(self) -> None:
        """Return to the newest checkpoint from before the bad steps; raises Diverged after too many returns."""
        left, run, steps = self.progress, self.run_folder, self.progress.recently_skipped
        self.clock.stop()
        bad, what = bad_steps.any_phase(steps), bad_steps.sentence(steps)
        if len(left.rollbacks) == self.config.training.rollbacks:
            again = f" again, after {len(left.rollbacks)} rollbacks" if left.rollbacks else ""
            raise Diverged(f"{what}{again}; lower the learning rate, or set training.gradient_clip.")
        self.writer.wait()
        checkpoint = on_first_process(lambda: newest_until(run.checkpoints, bad[0], self.warn))
        if checkpoint is None:
            raise Diverged(f"{what}, and there is no checkpoint to go back to; lower the learning rate.")
        self._load(checkpoint)
        evidence = {"at": left.step, "back_to": self.progress.step, "skipped_steps": bad_steps.extents(steps)}
        self.progress.rollbacks = [*left.rollbacks, evidence]
        self.progress.skipped, self.progress.seconds = left.skipped + len(bad), left.seconds
        self._begin_course(self.progress)
        if self.accelerator.is_main_process:
            self.warn(f"{what}: back to the checkpoint of step {self.progress.step}, with other data and draws.")
            note_progress(checkpoint, self.progress)
            self.metrics.forget()
            run.keep_metrics_until(self.progress.step)

    def _sums(self) -> dict[str, list[float]]:
        """Sums and counts of the losses since the last call, over all processes; a wait for the device."""
        names, found = self.meter.sums()
        sums, counts = self.accelerator.reduce(found, reduction="sum").tolist()
        return {name: [total, count] for name, total, count in zip(names, sums, counts, strict=True) if isfinite(total)}

    def _losses(self) -> dict[str, float]:
        """Their means since the last line of metrics, and the speed."""
        sums, self.progress.unlogged = self.progress.unlogged, {}
        means = {name: total / count for name, (total, count) in sums.items() if count}
        skipped = self.progress.skipped + len(bad_steps.any_phase(self.progress.recently_skipped))
        moving = [active for active in self.phases if active.moves_at(self.progress.step - 1)]
        rates = {f"{active.phase.name}/learning_rate": active.learning_rate for active in moving}
        return {"images_per_second": round(self.clock.lap(), 1), "skipped_steps": skipped, **rates, **means}

    def _log(self, bar: tqdm, values: dict[str, float]) -> None:
        """Write a line of metrics; raises Diverged where they show a collapse that is to end the run."""
        progress = self.progress
        collapse = "; ".join(self.sentinel.look(progress.step, values))
        if self.accelerator.is_main_process:
            line = {"step": progress.step, "images": progress.images, "seconds": round(progress.seconds, 3)}
            self.metrics.write(line | values | self.writer.costs())
            rate = f"{values['images_per_second']:,.0f} images/s  " if "images_per_second" in values else ""
            telling = ("/total", "_score", f"evaluation/{self.config.registry.metric}")
            shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items() if name.endswith(telling))
            if bar.disable:
                print(f"step {progress.step}/{self.config.training.steps}  {rate}{shown}", flush=True)
            else:
                bar.set_postfix_str(shown)
            if collapse:
                self.warn(f"{collapse}.")
        if collapse and self.config.training.on_collapse == "stop":
            raise Diverged(f"{collapse}; training.on_collapse is 'stop'.")

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
                former = progress.best_step, progress.best_value
                progress.best_step, progress.best_value = progress.step, progress.last_value
                if not self._best_kept():
                    progress.best_step, progress.best_value = former
        self._log(bar, losses | {f"evaluation/{name}": value for name, value in values.items()})
        return True

    def _is_best(self, value: float | None) -> bool:
        best = self.progress.best_value
        if value is None or best is None:
            return value is not None
        return value < best if METRICS[self.config.registry.metric] == "lower" else value > best

    def _best_kept(self) -> bool:
        """The checkpoint in a folder of its own, where no later one takes its place but a better one."""

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
        return take_snapshot(self.progress, self.method, self.average.current(), self.optimizers)

    def _note_progress(self) -> None:
        """What an evaluation found, into the checkpoint of this step."""
        if self.accelerator.is_main_process and self.writer.wait():
            checkpoint = checkpoint_path(self.run_folder.checkpoints, self.progress.step)
            attempt("the evaluation's outcome", lambda: note_progress(checkpoint, self.progress), self.warn)

    def export(self) -> None:
        """Write the averaged sampler; OSError where the disk does not take it."""
        if self.accelerator.is_main_process:
            self.exporter.export(self.run_folder.sampler, self.progress)

    def _progress_bar(self) -> tqdm:
        hidden = True if not self.accelerator.is_main_process else None  # None: hidden where there is no terminal
        return tqdm(total=self.config.training.steps, initial=self.progress.step, unit="step", disable=hidden)
