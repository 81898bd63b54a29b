"""The command line: python -m pipelines COMMAND. Heavy imports wait for their command."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from genlib.cli import add_configuration, configuration, report_user_errors, whole_output
from genlib.config.overrides import parsed_override
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.runtime.interruption import leave, stop_signals
from genlib.storage.paths import output_path, user_path
from pipelines.servers import environment
from pipelines.servers.local import MLFLOW_PORT, PREFECT_PORT, start_local_prefect

SERVICES = {  # by the package whose exceptions tell of them, and the variable that has their address
    "mlflow": ("MLflow", "MLFLOW_TRACKING_URI"),
    "sqlalchemy": ("MLflow's database", "MLFLOW_TRACKING_URI"),
    "requests": ("MLflow's server", "MLFLOW_TRACKING_URI"),
    "prefect": ("Prefect", "PREFECT_API_URL"),
    "httpx": ("Prefect's server", "PREFECT_API_URL"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 bad input (one line on stderr), 130 and 143 stopped by a signal."""

    def chosen() -> int:
        options = parser().parse_args(arguments)
        code: int = with_services(lambda: options.command(options))
        return code if options.command in FLOWS else whole_output(code)  # what a flow made is in MLflow

    return report_user_errors(chosen)


def with_services(command: Callable[[], int]) -> int:
    """Call; what MLflow, Prefect or their databases refuse in the middle becomes one line, and exit code 1."""
    try:
        return command()
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if package not in SERVICES:
            raise
        name, variable = SERVICES[package]
        where = environment.redacted(os.environ.get(variable, ""))
        print(f"error: {name} ({where}) failed: {environment.reason_of(error)}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines", description="Train, evaluate, gate and register models, unattended."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(function.__name__, help=summary, description=summary)
        added.set_defaults(command=function)
        return added

    added = command(run, "run the flow retrain on a configuration")
    add_configuration(added)
    added.add_argument("--run-dir", type=output_path, help="go on with this run folder, whichever stage it is in")
    added.add_argument("--new", action="store_true", help="begin anew where a run of the same kind was cut off")
    added.add_argument(
        "--only-if-data-changed", action="store_true", help="nothing, where the champion was trained on the same data"
    )
    for function, summary in (
        (promote, "make a version champion by hand"),
        (rollback, "make the former champion champion again"),
        (compare, "list a model's versions with their metrics"),
        (lineage, "tell what a version was made from, and where that is kept"),
        (reproduce, "train a version again, and compare the weights; 0 identical, 1 not"),
    ):
        added = command(function, summary)
        added.add_argument("model", metavar="MODEL", help="a registered model, such as vae-digits")
        if function in (promote, reproduce):
            added.add_argument("version", metavar="VERSION")
        if function is rollback:
            added.add_argument("--from", dest="leave", metavar="VERSION", help="only if this one is the champion")
        if function is lineage:
            added.add_argument("version", metavar="VERSION", nargs="?", help="default: the champion")
        if function is reproduce:
            added.add_argument("--run-dir", type=output_path, help="a folder of its own, or one of these to go on with")
    added = command(sync, "send MLflow what it did not take while it was away")
    all_of_them = "default: all under GENLIB_HOME/runs"
    added.add_argument("run_dirs", type=user_path, metavar="RUN_DIR", nargs="*", help=all_of_them)
    added = command(deploy, "make work pools, slots and deployments on Prefect's server, or bring them up to date")
    added.add_argument("configs", metavar="CONFIG", nargs="*", help="YAML files of your own, beside the shipped ones")
    added.add_argument("--pool", metavar="POOL", help="the work pool of all deployments, in the place of their own")
    added.add_argument("--slots", type=int, help="processes that train at once in the pool gpu: its GPUs")
    command(demo, "train, evaluate and register the two small models on real digits")
    command(gallery, "train small models of every kind of task on real digits, and write one page of their pictures")
    added = command(ui, "serve MLflow's and Prefect's interfaces on loopback")
    for name, port in (("mlflow", MLFLOW_PORT), ("prefect", PREFECT_PORT)):
        added.add_argument(f"--{name}-port", type=int, metavar="PORT", help=f"default: as the last time, else {port}")
    command(relocate, "after GENLIB_HOME was moved or copied: write the paths in MLflow's database anew")
    return parser


def run(options: argparse.Namespace) -> int:
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


def demo(options: argparse.Namespace) -> int:
    def work() -> str:
        from pipelines.flows.demo import demo

        return demo()

    return run_flows(work)


def gallery(options: argparse.Namespace) -> int:
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


def leave_on_signals() -> None:
    """Let signals end this process by way of what is registered for its exit; their default action would not."""
    for number in stop_signals():
        if number != signal.SIGINT:  # it is KeyboardInterrupt already
            signal.signal(number, leave)


def promote(options: argparse.Namespace) -> int:
    connect()
    from pipelines.registry.promotion import promote

    print(promote(options.model, options.version))
    return 0


def rollback(options: argparse.Namespace) -> int:
    connect()
    from pipelines.registry.promotion import rollback

    print(rollback(options.model, options.leave))
    return 0


def compare(options: argparse.Namespace) -> int:
    connect()
    from pipelines.registry.comparison import compare

    print(compare(options.model))
    return 0


def lineage(options: argparse.Namespace) -> int:
    connect()
    from pipelines.registry.lineage import lineage

    print(lineage(options.model, options.version))
    return 0


def reproduce(options: argparse.Namespace) -> int:
    connect()
    leave_on_signals()
    from pipelines.flows.reproduce import reproduce

    report, same = reproduce(options.model, options.version, options.run_dir, partial(print, flush=True))
    print(report)
    return 0 if same else 1


def sync(options: argparse.Namespace) -> int:
    connect()
    from pipelines.flows.sync import sync

    lines = sync(options.run_dirs, lambda warning: print(f"warning: {warning}", file=sys.stderr))
    print("\n".join(lines) or "MLflow has everything.")
    return 0 if all(": sent" in line for line in lines) else 1


def deploy(options: argparse.Namespace) -> int:
    environment.configure()
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError("PREFECT_API_URL is not set; start a server (make ui) and name it: http://HOST:4200/api")
    if options.slots is not None and options.slots < 1:
        raise UserError(f"--slots ({options.slots}) must be at least 1.")
    environment.check_servers(mlflow_may_be_away=True)
    from pipelines.deploying.deploy import deploy

    print("\n".join(deploy(options.configs, options.pool, options.slots)))
    return 0


def connect() -> None:
    """For a short command: with servers that answer."""
    environment.configure()
    environment.check_servers()
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)  # at the end it says that it is still sending


def ui(options: argparse.Namespace) -> int:
    connect()
    from pipelines.servers.interfaces import serve

    serve(options.mlflow_port, options.prefect_port)
    return 0


def relocate(options: argparse.Namespace) -> int:
    environment.configure()
    from pipelines.servers.store import relocate

    print(relocate())
    return 0


FLOWS = (run, demo, gallery)

if __name__ == "__main__":
    sys.exit(main())
