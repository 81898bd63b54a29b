"""The commands on MLflow's registry: promote, rollback, compare, lineage, reproduce and sync."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from functools import partial

from genlib.cli.command import whole_output
from genlib.storage.paths import output_path, user_path
from pipelines.commands.services import connect, leave_on_signals, with_services


def add_model(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a registered model, such as vae-digits")


def promote_options(parser: ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("version", metavar="VERSION")


@whole_output
@with_services
def promote(options: Namespace) -> int:
    connect()
    from pipelines.registry.promotion import promote

    print(promote(options.model, options.version))
    return 0


def rollback_options(parser: ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--from", dest="leave", metavar="VERSION", help="only if this one is the champion")


@whole_output
@with_services
def rollback(options: Namespace) -> int:
    connect()
    from pipelines.registry.promotion import rollback

    print(rollback(options.model, options.leave))
    return 0


compare_options = add_model


@whole_output
@with_services
def compare(options: Namespace) -> int:
    connect()
    from pipelines.registry.comparison import compare

    print(compare(options.model))
    return 0


def lineage_options(parser: ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("version", metavar="VERSION", nargs="?", help="default: the champion")


@whole_output
@with_services
def lineage(options: Namespace) -> int:
    connect()
    from pipelines.registry.lineage import lineage

    print(lineage(options.model, options.version))
    return 0


def reproduce_options(parser: ArgumentParser) -> None:
    promote_options(parser)
    parser.add_argument("--run-dir", type=output_path, help="a folder of its own, or one of these to go on with")


@whole_output
@with_services
def reproduce(options: Namespace) -> int:
    connect()
    leave_on_signals()
    from pipelines.flows.reproduce import reproduce

    report, same = reproduce(options.model, options.version, options.run_dir, partial(print, flush=True))
    print(report)
    return 0 if same else 1


def sync_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "run_dirs", type=user_path, metavar="RUN_DIR", nargs="*", help="default: all under GENLIB_HOME/runs"
    )


@whole_output
@with_services
def sync(options: Namespace) -> int:
    connect()
    from pipelines.flows.sync import sync

    lines = sync(options.run_dirs, lambda warning: print(f"warning: {warning}", file=sys.stderr))
    print("\n".join(lines) or "MLflow has everything.")
    return 0 if all(": sent" in line for line in lines) else 1
