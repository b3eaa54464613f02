"""Reads `params.yaml` and says in plain words what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from segtrail.errors import ConfigError
from segtrail.recipe import Params, Recipe
from segtrail.settings.dataset import Dataset
from segtrail.workspace import Workspace

T = TypeVar("T")


def near(word: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the nearest of `known`, or nothing."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {match[0]!r}?" if match else ""


def load_params(path: Path) -> Params:
    """Reads and checks `params.yaml`.

    Raises:
        ConfigError: Not there, not YAML, or a key, type or value is wrong. The message names
            each key, what was given and what is allowed.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: not found", "restore it: git checkout params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: not readable as YAML: {e}") from None
    return check_params(raw, str(path))


def check_params(raw: Any, name: str) -> Params:
    """Checks what a `params.yaml` holds.

    Args:
        raw: What YAML gives.
        name: What to call it in messages.

    Raises:
        ConfigError: A key, type or value is wrong.
    """
    try:
        return Params.model_validate(raw)
    except ValidationError as e:
        lines = [_explain(dict(item)) for item in e.errors()]
        raise ConfigError(f"{name}:\n  " + "\n  ".join(lines)) from None


def load_recipe(workspace: Workspace, name: str) -> Recipe:
    """Returns one recipe of the workspace.

    Raises:
        ConfigError: `params.yaml` is wrong or has no such recipe.
    """
    return _look_up(load_params(workspace.params).recipes, name, "recipe", workspace)


def load_dataset(workspace: Workspace, name: str) -> Dataset:
    """Returns one dataset of the workspace.

    Raises:
        ConfigError: `params.yaml` is wrong or has no such dataset.
    """
    return _look_up(load_params(workspace.params).datasets, name, "dataset", workspace)


def _look_up(known: Mapping[str, T], name: str, kind: str, workspace: Workspace) -> T:
    if name not in known:
        raise ConfigError(
            f"{workspace.params}: no {kind} {name!r}; there are {', '.join(sorted(known))}."
            + near(name, known)
        )
    return known[name]


def _explain(error: dict[str, Any]) -> str:
    location = [part for part in error["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in location if not _is_tag(part)) or "the file"
    given = error["input"]
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _fields_at(location[:-1])
        return (
            f"{key}: unknown key; allowed here: {', '.join(sorted(known))}."
            f"{near(str(location[-1]), known)}{_owners(location)}"
        )
    if kind == "union_tag_invalid":
        name, known = given["name"], [tag[1:-1] for tag in _alternatives_at(location)]
        return (
            f"{key}.name: got {name!r}; expected one of {', '.join(known)}.{near(str(name), known)}"
        )
    if kind == "union_tag_not_found":
        return f"{key}: got {given!r}; expected keys and values, such as {{base_filters: 16}}"
    if kind == "missing":
        return f"{key}: required, but not given"
    if kind == "value_error":
        return f"{key}: {error['ctx']['error']}"
    said = error["msg"][0].lower() + error["msg"][1:]
    text = f"{key}: got {given!r}; {said}"
    if kind in ("float_type", "int_type") and _is_number(given):
        return f"{text} (YAML reads it as text: leave out the quotes, write 1.0e-3 for 1e-3)"
    if kind == "literal_error" and isinstance(given, str):
        allowed = str(error["ctx"]["expected"]).replace(" or ", ", ").replace("'", "")
        text += near(given, allowed.split(", "))
    return text


def _is_number(given: Any) -> bool:
    try:
        float(given)
    except (TypeError, ValueError):
        return False
    return isinstance(given, str)


def _fields_at(location: list[Any]) -> list[str]:
    """Returns the keys that the schema allows at `location`."""
    schema = Params.model_json_schema()
    return list(_node_at(location, schema).get("properties", {}))


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
    schema = Params.model_json_schema()
    found = _node_at(location, schema).get("oneOf", [])
    return [f"[{_name_in(node, schema)}]" for node in found]


def _node_at(location: list[Any], schema: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = schema
    for part in location:
        node = _resolve(node, schema)
        if isinstance(part, int):
            node = node.get("items", {})
        elif _is_tag(part) and "oneOf" in node:
            named = {f"[{_name_in(one, schema)}]": one for one in node["oneOf"]}
            node = named.get(part, node)
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            extra: Any = node.get("additionalProperties") or next(
                iter(node.get("patternProperties", {}).values()), {}
            )
            node = extra if isinstance(extra, dict) else {}
    return _resolve(node, schema)


def _name_in(node: dict[str, Any], schema: dict[str, Any]) -> str | None:
    """Returns the only `name` that an alternative allows, else its title, for one without."""
    found = _resolve(node, schema)
    name: str | None = found.get("properties", {}).get("name", {}).get("const")
    return name or found.get("title", "").lower() or None


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        found: dict[str, Any] = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return found
    return node


def dump(model: BaseModel) -> dict[str, Any]:
    """Returns a model as plain JSON values, every default resolved."""
    return model.model_dump(mode="json")
