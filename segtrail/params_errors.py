"""Says in plain words what pydantic found wrong in `params.yaml`, with the schema's help."""

from __future__ import annotations

import functools
from typing import Any

import yaml

from segtrail.recipe import Params
from segtrail.settings.base import NAME_PATTERN
from segtrail.words import hint

Node = dict[str, Any]


def explain(error: dict[str, Any]) -> str:
    """Returns one line about one of pydantic's errors: the key, what was given, what is allowed.

    Args:
        error: As `ValidationError.errors` gives it.
    """
    location = [part for part in error["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in location if not _is_tag(part))
    said = _said(error, location)
    if error["type"] == "union_tag_invalid":
        key = f"{key}.name"
    return f"{key}: {said}" if key else said


def _said(error: dict[str, Any], location: list[Any]) -> str:
    given, kind = error["input"], error["type"]
    if kind == "extra_forbidden":
        known = _fields_at(location[:-1])
        return (
            f"unknown key; allowed here: {', '.join(sorted(known))}."
            f"{hint(str(location[-1]), known)}{_owners(location)}"
        )
    if kind == "union_tag_invalid":
        name, known = given["name"], [tag[1:-1] for tag in _alternatives_at(location)]
        return f"got {name!r}; expected one of {', '.join(known)}.{hint(str(name), known)}"
    if kind in ("model_type", "dict_type", "union_tag_not_found"):
        return f"got {_short(given)}; expected keys and values{_example_at(location)}"
    if kind == "missing":
        return "required, but not given"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind in ("too_long", "too_short"):
        limit = error["ctx"].get("max_length", error["ctx"].get("min_length"))
        items = f"{limit} item{'' if limit == 1 else 's'}"
        bound = f"at most {items}" if kind == "too_long" else f"at least {items}"
        return f"got {list(given)}; expected {bound}"
    if kind == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME_PATTERN:
        return f"got {given!r}; expected lower-case letters, digits and hyphens"
    text = f"got {given!r}; {error['msg'][0].lower()}{error['msg'][1:]}"
    if kind in ("float_type", "int_type") and _is_number(given):
        return f"{text} (YAML reads it as text: leave out the quotes, write 1.0e-3 for 1e-3)"
    if kind == "literal_error" and isinstance(given, str):
        allowed = str(error["ctx"]["expected"]).replace(" or ", ", ").replace("'", "")
        text += hint(given, allowed.split(", "))
    return text


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _is_number(given: Any) -> bool:
    try:
        float(given)
    except (TypeError, ValueError):
        return False
    return isinstance(given, str)


def _example_at(location: list[Any]) -> str:
    """Returns a key of the section at `location` with its default, and the keys without one."""
    node = _node_at(location)
    if alternatives := node.get("oneOf"):
        node = _resolve(alternatives[0])
    plain = {
        key: each["default"]
        for key, each in node.get("properties", {}).items()
        if isinstance(each.get("default"), bool | int | float | str)
    }
    text = ""
    if plain:
        first = dict([next(iter(plain.items()))])
        text = f", such as {yaml.safe_dump(first, default_flow_style=True, width=1000).strip()}"
    needed = ", ".join(node.get("required", []))
    return f"{text}; required: {needed}" if needed else text


def _fields_at(location: list[Any]) -> list[str]:
    """Returns the keys that the schema allows at `location`."""
    return list(_node_at(location).get("properties", {}))


def _owners(location: list[Any]) -> str:
    """Returns which other alternatives of a section have the key that this one lacks, if any."""
    if len(location) < 2 or not _is_tag(location[-2]):
        return ""
    owners = [
        tag[1:-1]
        for tag in _alternatives_at(location[:-2])
        if location[-1] in _fields_at([*location[:-2], tag])
    ]
    return f" {location[-1]!r} is an option of {', '.join(owners)}." if owners else ""


def _is_tag(part: Any) -> bool:
    """Returns whether a part of a location says which alternative was taken, and is no key."""
    return isinstance(part, str) and part.startswith("[") and part.endswith("]")


def _alternatives_at(location: list[Any]) -> list[str]:
    """Returns the tags of the alternatives at `location`, whose schemas tell their `name`."""
    return [f"[{_name_in(node)}]" for node in _node_at(location).get("oneOf", [])]


@functools.cache
def _schema() -> Node:
    return Params.model_json_schema()


def _node_at(location: list[Any]) -> Node:
    """Returns the schema of what is at `location`; empty if it tells none."""
    node = _schema()
    for part in location:
        node = _resolve(node)
        if isinstance(part, int):
            node = node.get("items", {})
        elif _is_tag(part) and "oneOf" in node:
            named = {f"[{_name_in(one)}]": one for one in node["oneOf"]}
            node = named.get(part, node)
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            extra: Any = node.get("additionalProperties") or next(
                iter(node.get("patternProperties", {}).values()), {}
            )
            node = extra if isinstance(extra, dict) else {}
    return _resolve(node)


def _name_in(node: Node) -> str | None:
    """Returns the only `name` that an alternative allows, else its title, for one without."""
    found = _resolve(node)
    name: str | None = found.get("properties", {}).get("name", {}).get("const")
    return name or found.get("title", "").lower() or None


def _resolve(node: Node) -> Node:
    """Follows a reference, and takes of a section that may be null the section."""
    some = [each for each in node.get("anyOf", []) if each.get("type") != "null"]
    if len(some) == 1:
        node = some[0]
    if "$ref" in node:
        found: Node = _schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return found
    return node
