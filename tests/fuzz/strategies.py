"""What may stand where something else should, as strategies of hypothesis.

GENLIB_FUZZ=20 tries twenty times as many examples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from datetime import date, datetime
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Le, Lt
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from genlib.choices.fields import choices_of, section_of
from genlib.config.run import RunConfig

TIMES = float(os.environ.get("GENLIB_FUZZ", "1"))
LARGEST = 64  # of a size: what is tested is whether networks fit together, not whether memory suffices

Place = tuple[str | int, ...]  # the keys to a place in nested dicts and lists


def examples(count: int) -> settings:
    return settings(
        max_examples=max(1, round(count * TIMES)),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "a\nb",
            "\x00",
            "a\x00b",
            "\ud800",
            "é☃\u2028",
            "~",
            "~nobody-of-this-name/x",
            "..",
            "../x",
            "/",
        ]
        + ["nan", "1e309", "0x10", "1_000", "null", "on", "{}", "[", "step-1", "a" * 300, "a/" * 3000, "x" * 100_000]
    ),
)
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2, 3, 0.5, -0.0, 1e-300, 1e300, 2**31, 2**63, 2**64, 10**30, 10**400]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.integers(),
    st.floats(),
)
JSON_LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
LEAVES = st.one_of(
    JSON_LEAVES, st.binary(max_size=6), st.sampled_from([date(2020, 1, 2), datetime(2020, 1, 2, 3, 4), {1, 2}])
)
KEYS = st.one_of(
    TEXTS, st.sampled_from(["name", "data", "method", "steps", "network"]), st.integers(0, 3), st.none(), st.booleans()
)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=5
    )


ANYTHING = nested(LEAVES, KEYS)
JSON = nested(JSON_LEAVES, TEXTS)


def places(content: Any, path: Place = ()) -> Iterator[Place]:
    """Every path in nested dicts and lists, the root's left out."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, original: Any, values: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> Any:
    """`original` with one to three places replaced, deleted, wrapped, or given a neighbour."""
    content = deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        *parents, key = draw(st.sampled_from(list(places(content)) or [(0,)]))
        holder = content
        for parent in parents:
            holder = holder[parent]
        match draw(st.sampled_from(["replace", "replace", "replace", "delete", "wrap", "neighbour"])):
            case "delete" if holder:
                del holder[key]
            case "wrap" if holder:
                holder[key] = draw(st.sampled_from([[holder[key]], {"name": holder[key]}, [[holder[key]]]]))
            case "neighbour" if isinstance(holder, dict):
                holder[draw(keys)] = draw(values)
            case _ if holder:
                holder[key] = draw(values)
    return content


# Whole configurations, drawn from the types of their keys

SMALL_SIZES = st.sampled_from([1, 2, 3, 4, 5, 6, 8])
IMAGE_SIZES = st.sampled_from([8, 9, 10, 12, 14, 16, 20, 24, 27, 28, 30, 32])
# Keys whose values cost time or memory, and nothing else.
SETTLED = {"steps", "latents", "compile", "cuda_graphs", "processes", "every", "mixture_components", "checkpoint"}


@st.composite
def drawn_section(draw: st.DrawFn, section: type[BaseModel]) -> dict[str, Any]:
    """A section whose keys are left out, or have small values that their types allow."""
    content: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        if name == "name":
            content[name] = field.default
        elif name in SETTLED:
            continue
        elif choices_of(field):
            content[name] = draw(drawn_section(draw(st.sampled_from(choices_of(field)))))
        elif section_of(field):
            content[name] = draw(drawn_section(section_of(field)))
        elif is_size(field.annotation) or draw(st.booleans()):  # defaults of sizes are large
            content[name] = draw(values_of(field.annotation, *limits_of(field)))
    return {key: value for key, value in content.items() if value is not None}


def is_size(annotation: Any) -> bool:
    return annotation is int or (get_origin(annotation) is list and get_args(annotation)[0] is not str)


def limits_of(field: FieldInfo) -> tuple[float, float]:
    """The least and the largest of the small values of a number."""
    least = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), 0)
    below = [
        limit.le if isinstance(limit, Le) else limit.lt - 0.5 for limit in field.metadata if isinstance(limit, Le | Lt)
    ]
    return least, min(below, default=2.0)


def values_of(annotation: Any, least: float, most: float = 16) -> st.SearchStrategy[Any]:
    """Small values of a key's type; None to leave it out."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    if get_origin(annotation) is Annotated:
        return values_of(kinds[0], 1)
    if get_origin(annotation) is Literal:
        return st.sampled_from(kinds)
    if get_origin(annotation) is list:
        return st.lists(values_of(kinds[0], 1), min_size=1, max_size=3)
    if kinds:
        return values_of(kinds[0], least, most)
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return SMALL_SIZES.map(lambda size: int(min(max(size, least), most)))
    if annotation is float:
        return st.sampled_from([0.0, 0.25, 0.5, 2.0]).map(lambda number: min(max(number, least), most) or None)
    return st.none()


@st.composite
def drawn_run(draw: st.DrawFn) -> dict[str, Any]:
    """A configuration of any method, networks, condition and data; many go together, and the rest is refused."""
    data = {"source": draw(st.sampled_from(["digits", "digits", "digits", "ring8"])), "image_size": draw(IMAGE_SIZES)}
    data["channels"] = draw(st.sampled_from([1, 3]))
    points = data["source"] == "ring8"
    if not points:
        data["binarize"] = draw(st.sampled_from(["none", "none", "none", "draw"]))
    content = {
        name: draw(drawn_section(draw(st.sampled_from(choices_of(RunConfig.model_fields[name])))))
        for name in ("condition", "method")
        if name == "method" or draw(st.booleans())
    }
    if content.get("condition", {}).get("name") == "caption":
        data |= {"scenes": 20, "image_size": draw(st.sampled_from([27, 28, 30, 32, 48]))}
    parts = draw(st.sampled_from([None, 1, 2, 4]))
    training = {"batch_size": draw(SMALL_SIZES) * (parts or 1), "micro_batches": parts}
    training["channels_last"] = draw(st.booleans())
    return content | {
        "data": data,
        "training": training,
        "evaluation": {"features": "points" if points else "random"},
        "registry": {"model": "m", "metric": "fd_points" if points else "fd_random"},
    }


def is_small(content: Any) -> bool:
    """Whether the method, if there is one, is one that memory suffices for."""
    method = content.get("method") if isinstance(content, dict) else None
    return not any(isinstance(value, int | float) and value > LARGEST for value in leaves([method]))


def leaves(content: Any) -> Iterator[Any]:
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for value in values:
        yield from leaves(value) if isinstance(value, dict | list) else [value]


@st.composite
def corrupted(draw: st.DrawFn, original: bytes) -> bytes:
    """The bytes with some cut out of the middle and others in their place."""
    start = draw(st.integers(0, len(original)))
    end = draw(st.integers(start, min(start + 12, len(original))))
    return (
        original[:start]
        + draw(st.binary(max_size=6) | TEXTS.map(lambda t: t.encode(errors="replace")))
        + original[end:]
    )
