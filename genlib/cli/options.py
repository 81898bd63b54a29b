"""The options that several commands have."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.config.shipped import configuration_path
from genlib.evaluation.preflight import check_weights


def add_configuration(parser: ArgumentParser) -> None:
    """CONFIG and --set, the same for every command that takes a configuration."""
    parser.add_argument(
        "config",
        type=configuration_path,
        metavar="CONFIG",
        help="a YAML file, or the name of one that `genlib configs` lists, such as vae_digits",
    )
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", help="override one key; repeatable")


def configuration(options: Namespace) -> RunConfig:
    """The configuration that the arguments name, and that can be carried out as far as is known before any work."""
    config = load_config(options.config, options.set)
    check_weights(config.evaluation)
    return config
