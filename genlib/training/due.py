"""The actions that are due after a step of training: a function of the step, the settings and what is known then."""

from __future__ import annotations

from typing import NamedTuple

from genlib.config.training import TrainingConfig
from genlib.training.state.bad_updates import WINDOW


class Due(NamedTuple):
    """The actions that are due after a step."""

    judge: bool  # a window of updates has ended: were too many of them bad?
    log: bool  # a line of metrics
    show: bool  # a picture of samples
    save: bool  # a checkpoint
    evaluate: bool  # the averaged model
    stop: bool  # the training ends here, with steps or an evaluation left to do


def due_after(
    step: int,
    training: TrainingConfig,
    evaluate_every: int | None = None,
    evaluated: bool = False,
    stopped: bool = False,
) -> Due:
    """The actions that are due once `step` steps are done.

    Args:
        evaluate_every: steps between evaluations; None: there are none.
        evaluated: whether this step has been evaluated already, by the metric that counts now.
        stopped: whether the processes were asked to stop. An evaluation, which may be long, is left for the next start.
    """
    last = step == training.steps

    def every(steps: int) -> bool:
        return last or step % steps == 0

    evaluation = evaluate_every is not None and not evaluated and every(evaluate_every)
    checkpoint = every(training.checkpoint_every)
    return Due(
        judge=every(WINDOW),
        # A checkpoint holds no losses that are still to be logged, unless it is one of a stop.
        log=checkpoint or evaluation or step % training.log_every == 0,
        show=every(training.sample_every),
        save=checkpoint or stopped,
        evaluate=evaluation and not stopped,
        stop=stopped and (evaluation or not last),
    )
