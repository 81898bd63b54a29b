"""The commands on servers: deploy, ui and relocate."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from genlib.cli.command import whole_output
from genlib.config.shipped import configuration_path
from genlib.errors import UserError
from pipelines.commands.services import connect, with_services
from pipelines.servers import environment
from pipelines.servers.local import MLFLOW_PORT, PREFECT_PORT


def deploy_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "configs",
        type=configuration_path,
        metavar="CONFIG",
        nargs="*",
        help="YAML files of your own, beside the shipped ones",
    )
    parser.add_argument("--pool", metavar="POOL", help="the work pool of all deployments, in the place of their own")
    parser.add_argument("--slots", type=int, help="processes that train at once in the pool gpu: its GPUs")


@whole_output
@with_services
def deploy(options: Namespace) -> int:
    environment.configure()
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError("PREFECT_API_URL is not set; start a server (make ui) and name it: http://HOST:4200/api")
    if options.slots is not None and options.slots < 1:
        raise UserError(f"--slots ({options.slots}) must be at least 1.")
    environment.check_servers(mlflow_may_be_away=True)
    from pipelines.deploying.deploy import deploy

    print("\n".join(deploy(options.configs, options.pool, options.slots)))
    return 0


def ui_options(parser: ArgumentParser) -> None:
    for name, port in (("mlflow", MLFLOW_PORT), ("prefect", PREFECT_PORT)):
        parser.add_argument(f"--{name}-port", type=int, metavar="PORT", help=f"default: as the last time, else {port}")


@whole_output
@with_services
def ui(options: Namespace) -> int:
    connect()
    from pipelines.servers.interfaces import serve

    serve(options.mlflow_port, options.prefect_port)
    return 0


@whole_output
@with_services
def relocate(options: Namespace) -> int:
    environment.configure()
    from pipelines.servers.store import relocate

    print(relocate())
    return 0
