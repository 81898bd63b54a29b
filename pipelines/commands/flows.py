"""The commands that run flows: run, demo and gallery. Their results are in MLflow, or in files."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from genlib.cli.options import add_configuration, configuration
from genlib.config.overrides import parsed_override
from genlib.runs.folder import RunFolder
from genlib.storage.paths import output_path
from pipelines.commands.services import leave_on_signals, with_services
from pipelines.servers import environment
from pipelines.servers.local import start_local_prefect


def run_options(parser: ArgumentParser) -> None:
    add_configuration(parser)
    parser.add_argument("--run-dir", type=output_path, help="go on with this run folder, whichever stage it is in")
    parser.add_argument("--new", action="store_true", help="begin anew where a run of the same kind was cut off")
    parser.add_argument(
        "--only-if-data-changed", action="store_true", help="do nothing where the champion was trained on the same data"
    )


@with_services
def run(options: Namespace) -> int:
    configuration(options)  # bad input is answered before any server is asked
    overrides = dict(map(parsed_override, options.set))
    file, folder = str(Path(options.config).absolute()), options.run_dir and str(options.run_dir.absolute())
    if folder:
        RunFolder(folder).make()

    def work() -> str:
        from pipelines.flows.demo import report
        from pipelines.flows.retrain import retrain

        summary = retrain(file, overrides, folder, not options.new, options.only_if_data_changed)
        return summary.get("unchanged") or report([summary])

    return run_flows(work)


@with_services
def demo(options: Namespace) -> int:
    def work() -> str:
        from pipelines.flows.demo import demo

        return demo()

    return run_flows(work)


@with_services
def gallery(options: Namespace) -> int:
    from pipelines.flows.gallery import gallery

    print(gallery(), end="")
    return 0


def run_flows(work: Callable[[], str]) -> int:
    """Run flows in this process and print their report. What stops one ends its training and tells MLflow."""
    environment.configure()
    environment.check_servers(mlflow_may_be_away=True)
    leave_on_signals()
    server = start_local_prefect()
    from pipelines.flows.tasks import Preempted, StageFailed  # heavy: they load while the server starts

    if server:
        server.wait_until_up()
    try:
        print("\n" + work())
    except (StageFailed, Preempted) as error:
        print(f"error: {error}", file=sys.stderr)
        return 128 + signal.SIGTERM if isinstance(error, Preempted) else 1
    return 0
