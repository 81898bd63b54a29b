"""Configuration files and `--set` values as YAML: read by the core schema of YAML 1.2, with limits, and written for it.

PyYAML reads YAML 1.1, where `on` and `no` are booleans, `1:30` is 90, `010` is 8 and `1e-4` is text; and it lets the
last of two equal keys win. Here a plain value is null, true or false, a number, or else text (YAML 1.2.2, section
10.3.2), and a key that is given twice is refused.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

LARGEST_TEXT = 2**20  # bytes of a file
DEEPEST = 32  # sections inside one another
MOST_VALUES = 10_000  # keys and values, those that an alias repeats counted each time

# What PyYAML raises: for text that is no YAML, and for tags that their values do not fit.
NOT_YAML = (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError)

INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?[1-9][0-9]{0,2}(?:_[0-9]{3})+")
FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# By tag: the plain values that have it, and the characters that one of them can begin with.
CORE = {
    "null": (re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    "int": (INT, list("-+0123456789")),
    "float": (FLOAT, list("-+.0123456789")),
    "merge": (re.compile("<<"), ["<"]),
}
PREFIX = "tag:yaml.org,2002:"


def anchored(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """PyYAML asks patterns whether a value begins with them; the whole value must be one."""
    return re.compile(rf"(?:{pattern.pattern})\Z")


class CoreLoader(yaml.SafeLoader):
    """Reads the core schema and merge keys; YAMLError for a key that stands twice, and beyond the limits."""

    # Two tables of PyYAML: by first character (tag, pattern), and by tag what makes a value.
    yaml_implicit_resolvers: dict[Any, Any] = {}
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(PREFIX) in {*CORE, "str", "seq", "map"}
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"its sections are more than {DEEPEST} deep{at(self.peek_event())}; nest fewer")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None and (size := expanded_size(node, {})) > MOST_VALUES:
            raise yaml.YAMLError(
                f"it holds {size} keys and values, those behind aliases counted each time, and at most {MOST_VALUES} "
                "are read; write out what is meant"
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (first := seen.setdefault((key.tag, key.value), key)) is not key:
                lines = sorted({first.start_mark.line + 1, key.start_mark.line + 1})
                where = f"line {lines[0]}" if len(lines) == 1 else f"lines {lines[0]} and {lines[1]}"
                raise yaml.YAMLError(f"the key {key.value!r:.200} is given twice, in {where}; keep one of them")
        return node

    def construct_whole_number(self, node: Any) -> int:
        text = self.construct_scalar(node).replace("_", "")
        return int(text, 0) if re.match("0[ox]", text) else int(text)

    def construct_text(self, node: Any) -> str:
        return str(self.construct_scalar(node))

    def construct_number(self, node: Any) -> float:
        text = self.construct_scalar(node)
        return float(text.replace(".", "", 1) if re.search(r"\.(inf|nan)", text, re.I) else text)


class CoreDumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or the core schema would read as something else."""


for name, (pattern, firsts) in CORE.items():
    CoreLoader.add_implicit_resolver(PREFIX + name, anchored(pattern), firsts)
    CoreDumper.add_implicit_resolver(PREFIX + name, anchored(pattern), firsts)
CoreLoader.add_constructor(f"{PREFIX}int", CoreLoader.construct_whole_number)
CoreLoader.add_constructor(f"{PREFIX}float", CoreLoader.construct_number)
CoreLoader.add_constructor(f"{PREFIX}merge", CoreLoader.construct_text)  # << where it is no key


def at(event: Any) -> str:
    return f" in line {event.start_mark.line + 1}" if event is not None and event.start_mark else ""


def expanded_size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Keys and values below a node with every alias written out; YAMLError for an alias inside what it stands for."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise yaml.YAMLError(f"an alias in line {node.start_mark.line + 1} stands inside what it repeats")
        return size
    known[id(node)] = None
    size = 1
    for child in node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else ():
        size += sum(expanded_size(part, known) for part in (child if isinstance(child, tuple) else (child,)))
    known[id(node)] = size
    return size


def read_yaml(text: str) -> Any:
    """The value that a YAML text holds; NOT_YAML where it holds none, or more than the limits."""
    loader = CoreLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def write_yaml(content: Any) -> str:
    """YAML that read_yaml reads back as the same, and so do readers of YAML 1.1."""
    return yaml.dump(content, Dumper=CoreDumper, sort_keys=False)
