"""Reads `params.yaml` and says in plain words what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from segtrail.errors import ConfigError
from segtrail.params_errors import explain
from segtrail.recipe import Params, Recipe
from segtrail.settings.dataset import Dataset
from segtrail.words import near
from segtrail.workspace import Workspace

T = TypeVar("T")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


def load_params(path: Path) -> Params:
    """Reads and checks `params.yaml`.

    Raises:
        ConfigError: Not there, not YAML, a key is given twice, or a key, type or value is wrong.
            The message names each key, what was given and what is allowed.
    """
    raw, twice = _open(path)
    return _check(raw, twice, path)


def load_params_for(path: Path, recipe: str) -> tuple[Params, ConfigError | None]:
    """Reads what one recipe needs: in an emergency an error elsewhere must not be in the way.

    Args:
        path: `params.yaml`.
        recipe: The recipe.

    Returns:
        The whole; or, when something is wrong with the rest, the recipe and its dataset alone,
        and what is wrong.

    Raises:
        ConfigError: See `load_params`; of this recipe or its dataset, or it is not there.
    """
    raw, twice = _open(path)
    try:
        return _check(raw, twice, path), None
    except ConfigError as e:
        try:
            mine = raw["recipes"][recipe]
            name = mine["dataset"]
            part = {"datasets": {name: raw["datasets"][name]}, "recipes": {recipe: mine}}
        except (LookupError, TypeError):
            raise e from None
        places = (f"recipes.{recipe}.", f"datasets.{name}.")
        keys = [f"{line.partition(':')[0]}." for line in twice]
        if any(key.startswith(at) or at.startswith(key) for key in keys for at in places):
            raise
        return check_params(part, str(path)), e


def _open(path: Path) -> tuple[Any, list[str]]:
    try:
        return _read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: not found", "restore it: git checkout params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: not readable as YAML: {e}") from None


def _check(raw: Any, twice: list[str], path: Path) -> Params:
    if twice:
        raise ConfigError(f"{path}:\n  " + "\n  ".join(twice))
    return check_params(raw, str(path))


def _read(text: str) -> tuple[Any, list[str]]:
    """Returns what YAML gives, and of each key that a mapping has twice what to say."""
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        twice = list(_given_twice(node, [], set()))
        return loader.construct_document(node), twice
    finally:
        loader.dispose()


def _given_twice(node: yaml.Node, keys: list[str], seen: set[int]) -> Iterator[str]:
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _given_twice(item, [*keys, str(place)], seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            path = [*keys, str(key.value)]
            line, name = key.start_mark.line + 1, (key.tag, str(key.value))
            if name in lines and key.tag != "tag:yaml.org,2002:merge":
                both = f"lines {lines[name]} and {line}" if lines[name] < line else f"line {line}"
                yield f"{'.'.join(path)}: given twice, on {both}; keep one"
            lines.setdefault(name, line)
            yield from _given_twice(value, path, seen)


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
        lines = [explain(dict(item)) for item in e.errors()]
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


def dump(model: BaseModel) -> dict[str, Any]:
    """Returns a model as plain JSON values, every default resolved."""
    return model.model_dump(mode="json")
