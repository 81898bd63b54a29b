"""genlib prepare and genlib train."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from genlib.cli.command import leaving, whole_output
from genlib.cli.options import add_configuration, configuration
from genlib.errors import one_line
from genlib.evaluation.preflight import check_metric
from genlib.runtime.launched import check_launcher
from genlib.storage.paths import output_path

prepare_options = add_configuration


@whole_output
@leaving("interrupted.")
def prepare(options: Namespace) -> int:
    config = configuration(options)
    from genlib.data.making.prepare import prepare

    print(prepare(config.data, warn=lambda sentence: print(f"warning: {one_line(sentence)}", file=sys.stderr)).path)
    return 0


def train_options(parser: ArgumentParser) -> None:
    add_configuration(parser)
    parser.add_argument("--run-dir", type=output_path, help="run folder (default: a new one under GENLIB_HOME/runs)")


def train(options: Namespace) -> int:
    """Train; signals are answered by the training itself, and its result is its run folder."""
    check_launcher()
    config = configuration(options)
    from genlib.training.train import train

    if config.evaluation.every is None:
        return train(config, options.run_dir, check=check_metric)
    from genlib.evaluation.interim import make_evaluate

    return train(config, options.run_dir, make_evaluate, check_metric)
