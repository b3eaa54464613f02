"""`recipes.<name>.classes` of `params.yaml`."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from segtrail.settings.base import Name

Members = Annotated[list[Name], Field(min_length=1)]
BACKGROUND = "background"
NO_BACKGROUND = f"{BACKGROUND!r} is no class: it is what is 0 in the masks; leave it out"


def _by_name(given: Any) -> Any:
    """Reads `[cytoplasm, nucleus]` as `{cytoplasm: [cytoplasm], nucleus: [nucleus]}`."""
    if isinstance(given, dict):
        return given
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ValueError(
            f"got {given!r}; expected a list of names, such as [cytoplasm, nucleus], or what is "
            "learnt as one: {cell: [cytoplasm, nucleus]}"
        )
    twice = [name for name, times in Counter(given).items() if times > 1]
    if twice:
        raise ValueError(f"names {', '.join(twice)} twice")
    return {name: [name] for name in given}


def _each_once(classes: dict[str, list[str]]) -> dict[str, list[str]]:
    """Refuses a class that is learnt as two, and the background, which is none."""
    found: dict[str, str] = {}
    for name, members in classes.items():
        if BACKGROUND in (name, *members):
            raise ValueError(NO_BACKGROUND)
        for member in members:
            if member in found:
                both = f"twice in {name}" if found[member] == name else ""
                raise ValueError(f"{member} is {both or f'in {found[member]} and in {name}'}")
            found[member] = name
    return classes


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
    AfterValidator(_each_once),
]
