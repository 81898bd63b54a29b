"""The command line: genlib COMMAND, a module a group of commands.

A package that adds commands declares an entry point of the group `genlib.commands`, whose value is a sequence of
`Command`. Names and summaries cost little; what a command needs is imported when it is called.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from genlib import __version__
from genlib.cli.command import Command, report_user_errors
from genlib.errors import UserError, one_line

GROUP = "genlib.commands"
COMMANDS = (
    Command("prepare", "make the dataset folder", "genlib.cli.training"),
    Command("train", "train, or go on with a run folder", "genlib.cli.training"),
    Command("evaluate", "evaluate a run's sampler, another sampler, or a folder of images", "genlib.cli.evaluation"),
    Command("sample", "draw samples from a run's sampler", "genlib.cli.sampling"),
    Command("methods", "list the methods, networks and options, and what does not go together", "genlib.cli.reference"),
    Command("config", "list the keys of a section or choice, with their limits and meaning", "genlib.cli.reference"),
    Command("configs", "list the configurations that come with genlib, or print one", "genlib.cli.reference"),
)


def main(arguments: Sequence[str] | None = None, prog: str = "genlib", own: Sequence[Command] = COMMANDS) -> int:
    """Run one command; 0 done, 1 failed, 2 bad input (one line on stderr), 128 + signal preempted."""
    if logging.lastResort:  # what a library logs where nobody has configured logging
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))
    words = sys.argv[1:] if arguments is None else list(arguments)

    def run() -> int:
        options = parser(words, prog, own).parse_args(words)
        code: int = options.command(options)
        return code

    return report_user_errors(run)


def parser(words: Sequence[str], prog: str, own: Sequence[Command]) -> argparse.ArgumentParser:
    """The parser of these words: every command by name and summary, and the options of the one that is called."""
    called = words[0] if words else ""
    commands = {command.name: command for command in own}
    if called not in commands and own is COMMANDS:
        commands = with_others(commands)
    parser = argparse.ArgumentParser(prog=prog, description="Train, evaluate, compare and sample generative models.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands.values():
        added = subparsers.add_parser(command.name, help=command.summary, description=command.summary)
        if command.name == called:
            command.add_options(added)
    return parser


def with_others(commands: dict[str, Command]) -> dict[str, Command]:
    """These commands and those of other packages; UserError for two of one name.

    A package whose commands cannot be imported is named in a line of standard error, and left out.
    """
    commands = dict(commands)
    for entry in sorted(entry_points(group=GROUP)):
        try:
            others: Iterable[Command] = entry.load()
        except Exception as error:  # whatever somebody else's code raises, ours goes on without it
            said = (
                f"warning: commands {entry.name} ({entry.value}) cannot be imported ({type(error).__name__}: {error})."
            )
            print(one_line(said), file=sys.stderr)
            continue
        for command in others:
            if command.name in commands:
                raise UserError(
                    f"two commands are called '{command.name}': of {commands[command.name].module} and of "
                    f"{command.module}; uninstall one of them."
                )
            commands[command.name] = command
    return commands
