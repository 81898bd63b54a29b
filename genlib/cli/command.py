"""One command of the command line, and what commands have in common: errors, signals, and output that must be whole."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from importlib.util import find_spec

from genlib.errors import UserError, one_line
from genlib.runtime.interruption import leaving_on_signals
from genlib.runtime.launched import is_first_process
from genlib.runtime.output import protect_output, reason_of_loss

Run = Callable[[Namespace], int]  # what carries a command out; its exit code


@dataclass(frozen=True)
class Command:
    """A command's name and summary, and where the rest is, which is imported when the command is called.

    `module` has the function NAME (options => exit code) and, for a command with options, NAME_options, which adds them
    to a parser. `needs` are packages that the extra `extra` of genlib brings.
    """

    name: str
    summary: str
    module: str
    needs: tuple[str, ...] = ()
    extra: str = ""

    def add_options(self, parser: ArgumentParser) -> None:
        """Put the command's options and what carries it out into a parser; UserError where a package is missing."""
        missing = [package for package in self.needs if find_spec(package) is None]
        if missing:
            raise UserError(
                f"{self.name} needs {' and '.join(missing)}, which is not installed; pip install 'genlib[{self.extra}]'"
            )
        module = import_module(self.module)
        parser.set_defaults(command=getattr(module, self.name))
        if add_options := getattr(module, f"{self.name}_options", None):
            add_options(parser)


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


def whole_output(run: Run) -> Run:
    """A command whose result is what it prints: its exit code is 1 where that could not be written.

    The reader of a pipe may have had enough: `genlib methods | head` is no failure.
    """

    @wraps(run)
    def checked(options: Namespace) -> int:
        code = run(options)
        if (reason := reason_of_loss(sys.stdout)) is None:
            return code
        print(f"error: the output could not be written ({reason}).", file=sys.stderr)
        return code or 1

    return checked


def leaving(remark: str) -> Callable[[Run], Run]:
    """A command that a signal ends by way of every `finally`, after which `remark` is printed."""

    def decorated(run: Run) -> Run:
        @wraps(run)
        def left(options: Namespace) -> int:
            with leaving_on_signals(remark):
                return run(options)

        return left

    return decorated
