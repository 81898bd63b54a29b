"""genlib evaluate."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from genlib.cli.command import leaving, whole_output
from genlib.config.load import load_config
from genlib.config.shipped import configuration_path
from genlib.errors import UserError
from genlib.evaluation.preflight import check_weights
from genlib.runtime.launched import check_launcher, is_first_process
from genlib.storage.paths import check_writable, output_path, user_path


def evaluate_options(parser: ArgumentParser) -> None:
    parser.add_argument("run_dir", type=user_path, metavar="RUN_DIR", nargs="?")
    parser.add_argument("--images", type=user_path, metavar="DIR", help="a folder of images, or an .npz or .npy file")
    parser.add_argument("--sampler", type=user_path, metavar="DIR", help="the folder of an exported sampler")
    others = "with --images or --sampler"
    parser.add_argument(
        "--data",
        type=configuration_path,
        metavar="CONFIG",
        help=f"{others}: a YAML file or a shipped configuration's name, whose data and evaluation sections count",
    )
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", help="with --data: override one key")
    parser.add_argument("--output", type=output_path, metavar="DIR", help=f"{others}: where to write the report")


@whole_output
@leaving("interrupted: nothing was written; evaluate again.")
def evaluate(options: Namespace) -> int:
    check_launcher()
    others = options.images or options.sampler
    if sum(map(bool, (options.run_dir, options.images, options.sampler))) != 1:
        raise UserError("evaluate takes RUN_DIR, or --images DIR or --sampler DIR with --data CONFIG.")
    if others and not options.data:
        raise UserError(
            f"--{'images' if options.images else 'sampler'} needs --data CONFIG, such as vae_digits: the "
            "data to compare with."
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
