"""genlib methods, genlib config and genlib configs: what there is to choose from, to set and to start from."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pydantic import BaseModel

from genlib.cli.command import leaving, whole_output
from genlib.config.reference import block, listing, sections_below
from genlib.config.run import RunConfig
from genlib.config.shipped import meaning_of, shipped, shipped_file
from genlib.errors import UserError, did_you_mean, quoted


@whole_output
@leaving("interrupted.")
def methods(options: Namespace) -> int:
    print(listing())
    return 0


def config_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="SECTION|CHOICE", help="such as training, method, vae or dcgan (default: all)"
    )


@whole_output
@leaving("interrupted.")
def config(options: Namespace) -> int:
    known = [(key, section) for key, section in sections_below(RunConfig)]
    names = {key for key, _ in known} | {name_of(section) for _, section in known} - {""}
    chosen = [pair for pair in known if options.name in (None, pair[0], name_of(pair[1]))]
    if not chosen:
        raise UserError(
            f"{quoted(options.name)} is no section and no choice{did_you_mean(options.name, names)}; known: "
            f"{', '.join(sorted(names))}."
        )
    print("\n\n".join(block(key, section) for key, section in chosen))
    return 0


def name_of(section: type[BaseModel]) -> str:
    """The name of a choice; "" for a plain section."""
    return str(section.model_fields["name"].default) if "name" in section.model_fields else ""


def configs_options(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this one as YAML (default: list all)")


@whole_output
@leaving("interrupted.")
def configs(options: Namespace) -> int:
    known = shipped()
    if options.name is None:
        width = max(map(len, known))
        print("\n".join(f"{name.ljust(width)}  {meaning_of(file)}".rstrip() for name, file in known.items()))
        return 0
    file = shipped_file(options.name)
    if file is None:
        raise UserError(
            f"no configuration {quoted(options.name)} comes with genlib{did_you_mean(options.name, known)}; "
            "`genlib configs` lists them."
        )
    print(file.read_text(), end="")
    return 0
