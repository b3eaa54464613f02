"""`recipes.<name>.classes` of `params.yaml`."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from segtrail.settings.base import Name

Members = Annotated[list[Name], Field(min_length=1)]


def _by_name(given: Any) -> Any:
    """Reads `[cytoplasm, nucleus]` as `{cytoplasm: [cytoplasm], nucleus: [nucleus]}`."""
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        return given
    twice = [name for name, times in Counter(given).items() if times > 1]
    if twice:
        raise ValueError(f"names {', '.join(twice)} twice")
    return {name: [name] for name in given}


def _as_written(classes: dict[str, list[str]]) -> Any:
    if all(members == [name] for name, members in classes.items()):
        return list(classes)
    return classes


Classes = Annotated[
    dict[Name, Members],
    BeforeValidator(_by_name, json_schema_input_type=list[Name] | dict[Name, Members]),
    PlainSerializer(_as_written, return_type=list[Name] | dict[Name, Members]),
    Field(
        min_length=1,
        max_length=8,
        description="those of its dataset that are learnt, in its order; or what is learnt by "
        "name, each of one or more of them: {cell: [cytoplasm, nucleus]}",
    ),
]
