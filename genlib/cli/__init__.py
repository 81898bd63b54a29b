"""The command line: genlib prepare | train | evaluate | sample | methods. Heavy imports wait for their command."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genlib import __version__
from genlib.config.load import load_config
from genlib.config.reference import listing
from genlib.config.run import RunConfig
from genlib.errors import UserError, one_line
from genlib.evaluation.preflight import check_metric, check_weights
from genlib.runtime.interruption import leaving_on_signals
from genlib.runtime.launched import check_launcher, is_first_process
from genlib.runtime.output import protect_output, reason_of_loss
from genlib.storage.paths import check_writable, config_path, output_path, user_path

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.sampling.sampler import Grid, TrainedSampler


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 bad input (one line on stderr), 128 + signal preempted."""
    if logging.lastResort:  # what a library logs where nobody has configured logging
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))

    def run() -> int:
        options = parser().parse_args(arguments)
        if options.command is train:  # it has its own answer to signals, and its result is its run folder
            return train(options)
        remark = "interrupted: nothing was written; evaluate again." if options.command is evaluate else "interrupted."
        with leaving_on_signals(remark):
            code: int = options.command(options)
        return whole_output(code)

    return report_user_errors(run)


def report_user_errors(command: Callable[[], int]) -> int:
    """Call; a UserError becomes one line, from one process of several, and exit code 2; Ctrl-C one line and 130.

    Output that cannot be written ends no command: see genlib.runtime.output.
    """
    protect_output()
    try:
        return command()
    except UserError as error:
        if is_first_process():
            print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        with suppress(ValueError):  # in another thread than the main one
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one, at the process's end, has no traceback either
        print("interrupted.", file=sys.stderr)
        return 128 + signal.SIGINT


def whole_output(code: int) -> int:
    """The exit code of a command whose result is what it prints: 1 where that could not be written.

    The reader of a pipe may have had enough: `genlib methods | head` is no failure.
    """
    if (reason := reason_of_loss(sys.stdout)) is None:
        return code
    print(f"error: the output could not be written ({reason}).", file=sys.stderr)
    return code or 1


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genlib", description="Train, evaluate and sample generative models.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(function.__name__, help=summary, description=summary)
        added.set_defaults(command=function)
        return added

    for function, summary in ((prepare, "make the dataset folder"), (train, "train, or go on with a run folder")):
        added = command(function, summary)
        add_configuration(added)
        if function is train:
            added.add_argument(
                "--run-dir", type=output_path, help="run folder (default: a new one under GENLIB_HOME/runs)"
            )
    added = command(evaluate, "evaluate a run's sampler, any sampler, or images that anybody made")
    added.add_argument("run_dir", type=user_path, metavar="RUN_DIR", nargs="?")
    added.add_argument("--images", type=user_path, metavar="DIR", help="a folder of images, or an .npz or .npy file")
    added.add_argument("--sampler", type=user_path, metavar="DIR", help="the folder of an exported sampler")
    of_others = "with --images or --sampler"
    added.add_argument(
        "--data", type=config_path, metavar="CONFIG", help=f"{of_others}: whose data and evaluation sections count"
    )
    added.add_argument("--set", action="append", default=[], metavar="a.b=value", help="with --data: override one key")
    added.add_argument("--output", type=output_path, metavar="DIR", help=f"{of_others}: where to write the report")
    added = command(sample, "draw images from a run's sampler")
    added.add_argument("run_dir", type=user_path, metavar="RUN_DIR")
    added.add_argument("--count", type=int, help="images (default 64)")
    added.add_argument("--seed", type=int, default=0, help="the same seed gives the same images (default 0)")
    added.add_argument(
        "--truncation", type=float, help="restrict latents to [-t, t]: typical rather than varied images"
    )
    added.add_argument(
        "--labels",
        metavar="L,L,...",
        action="append",
        help="of a conditional sampler: names, in turn, or indices from 0 where no name is a number; repeatable, for "
        "a name with a comma in it",
    )
    added.add_argument(
        "--condition",
        metavar="FILE_OR_TEXT",
        help="the condition: an image (transparent where it is to be filled), a folder of images, an .npy array; or a "
        "caption, or a .txt file of them; --count samples of each (default 6)",
    )
    added.add_argument("--resize", action="store_true", help="with --condition: scale the centre of other sizes")
    added.add_argument("--complete", metavar="TEXT", help="print --count captions (default 6) that begin so")
    added.add_argument("--temperature", type=float, help="of codes: below 1 likelier ones")
    added.add_argument("--top-k", type=int, metavar="K", help="of codes: from the likeliest K only")
    added.add_argument("--guidance", type=float, help="of codes for a caption: above 1 those that fit it better")
    added.add_argument("--output", type=output_path, help="grid.png (default) or samples.npz")
    command(methods, "list the methods, networks and options, and what does not go together")
    return parser


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """CONFIG and --set, the same for every command that takes a configuration."""
    parser.add_argument(
        "config", type=config_path, metavar="CONFIG", help="a YAML file, such as configs/vae_digits.yaml"
    )
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", help="override one key; repeatable")


def configuration(options: argparse.Namespace) -> RunConfig:
    """The configuration that the arguments name, and that can be carried out as far as is known before any work."""
    config = load_config(options.config, options.set)
    check_weights(config.evaluation)
    return config


def prepare(options: argparse.Namespace) -> int:
    config = configuration(options)
    from genlib.data.making.prepare import prepare

    print(prepare(config.data, warn=lambda sentence: print(f"warning: {one_line(sentence)}", file=sys.stderr)).path)
    return 0


def train(options: argparse.Namespace) -> int:
    check_launcher()
    config = configuration(options)
    from genlib.training.train import train

    if config.evaluation.every is None:
        return train(config, options.run_dir, check=check_metric)
    from genlib.evaluation.interim import make_evaluate

    return train(config, options.run_dir, make_evaluate, check_metric)


def evaluate(options: argparse.Namespace) -> int:
    check_launcher()
    others = options.images or options.sampler
    if sum(map(bool, (options.run_dir, options.images, options.sampler))) != 1:
        raise UserError("evaluate takes RUN_DIR, or --images DIR or --sampler DIR with --data CONFIG.")
    if others and not options.data:
        raise UserError(
            f"--{'images' if options.images else 'sampler'} needs --data CONFIG, a YAML file such as "
            "configs/vae_digits.yaml: what to compare with."
        )
    if options.run_dir and (options.data or options.set or options.output):
        raise UserError(
            "--data, --set and --output go with --images and --sampler; a run is evaluated as its config.yaml says."
        )
    if others:
        config = load_config(options.data, options.set)
        check_weights(config.evaluation)
        from genlib.evaluation.evaluate import evaluate_images, evaluate_sampler

        evaluation = (evaluate_images if options.images else evaluate_sampler)(others, config, options.output)
    else:
        from genlib.runs.folder import RunFolder

        run = RunFolder(options.run_dir)
        check_weights(run.config().evaluation)
        check_writable(run.path)
        from genlib.evaluation.evaluate import evaluate

        evaluation = evaluate(run)
    from genlib.evaluation.report.table import table

    if is_first_process():
        print(table(evaluation))
    return 0


def sample(options: argparse.Namespace) -> int:
    output = options.output or output_path("grid.png")
    if options.complete is None:
        check_output(output)
    from genlib.pixels.pictures import check_grid, picture, write_npz, write_png
    from genlib.runs.folder import RunFolder
    from genlib.sampling.codes import completions, draw_otherwise
    from genlib.sampling.load import load_sampler
    from genlib.sampling.sampler import SAMPLES_SHOWN, Grid

    sampler = load_sampler(RunFolder(options.run_dir).sampler)
    draw_otherwise(sampler, options.temperature, options.top_k, options.guidance)
    if options.complete is not None:
        alone = {"--condition": options.condition, "--labels": options.labels, "--truncation": options.truncation}
        alone |= {"--top-k": options.top_k, "--guidance": options.guidance, "--output": options.output}
        if others := [option for option, value in alone.items() if value is not None]:
            raise UserError(f"--complete writes captions, and takes no {' and no '.join(others)}; leave it out.")
        each = SAMPLES_SHOWN if options.count is None else options.count
        print("\n".join(completions(sampler, options.complete, each, options.seed)))
        return 0
    if sampler.condition and options.condition is None:
        raise UserError(
            f"{options.run_dir} draws under a condition ({sampler.condition.name}); name with --condition "
            f"{sampler.condition.form()}."
        )
    as_grid = output.suffix.lower() == ".png"
    if options.condition is not None:
        shown, images = of_condition(sampler, options, as_grid)
    else:
        if options.resize:
            raise UserError("--resize scales the images that --condition names; leave it out.")
        count = 64 if options.count is None else options.count
        if as_grid:
            check_grid(count, sampler.image_shape)
        labels = labels_listed(sampler, options.labels, count) if options.labels else None
        images = sampler.images(count, options.seed, options.truncation, labels)
        shown = Grid(images, None)
    if as_grid:
        write_png(output, picture(shown.images, columns=shown.columns))
    else:
        write_npz(output, images)
    print(output)
    return 0


def check_output(output: Path) -> None:
    """UserError, before anything is drawn, for a file that could not be written, or of an unknown kind."""
    if output.suffix.lower() not in (".png", ".npz"):
        raise UserError(f"--output {output} must end in .png (a grid) or .npz (an array named 'images').")
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name a file in it, such as {output / 'grid.png'}.")
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output {output}: its folder does not exist; make it first.")
    check_writable(output)


def labels_listed(sampler: TrainedSampler, lists: Sequence[str], count: int) -> Tensor:
    """The labels of lists with commas; a list that is a name as a whole is that name."""
    names = sampler.label_names or []
    return sampler.labels_named(
        [name for given in lists for name in ([given] if given in names else given.split(","))], count
    )


def of_condition(sampler: TrainedSampler, options: argparse.Namespace, as_grid: bool) -> tuple[Grid, Tensor]:
    """Rows of contexts, each followed by its samples; and the samples alone."""
    from genlib.data.context_files import read_contexts
    from genlib.pixels.pictures import check_grid
    from genlib.sampling.sampler import SAMPLES_SHOWN

    if sampler.condition is None:
        raise UserError(
            f"{options.run_dir} was trained without a condition that is an image or a caption; leave out --condition."
        )
    if options.labels:
        raise UserError("--labels and --condition do not go together; this sampler takes --condition.")
    contexts = read_contexts(options.condition, sampler.condition, options.resize)
    each = SAMPLES_SHOWN if options.count is None else options.count
    if as_grid:
        check_grid(len(contexts) * (1 + each), sampler.image_shape)
    return sampler.of_contexts(contexts, each, options.seed, options.truncation)


def methods(options: argparse.Namespace) -> int:
    print(listing())
    return 0
