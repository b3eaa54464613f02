"""Fields of nested sections by their dotted names, such as `training.schedule.kind`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class _Absent:
    """What a field that is not there has."""


ABSENT = _Absent()


def get_field(section: Mapping[str, Any], field: str) -> Any:
    """Returns a field's value, `ABSENT` if there is no such field."""
    found: Any = section
    for part in field.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return ABSENT
        found = found[part]
    return found


def set_field(section: dict[str, Any], field: str, value: Any) -> None:
    """Sets a field, in sections that are made where there are none."""
    *parents, last = field.split(".")
    for part in parents:
        if not isinstance(section.get(part), dict):
            section[part] = {}
        section = section[part]
    section[last] = value


def remove_field(section: dict[str, Any], field: str) -> None:
    """Removes a field if it is there."""
    *parents, last = field.split(".")
    for part in parents:
        section = section.get(part) or {}
    section.pop(last, None)


def all_fields(section: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns the names of all fields, those of sections too."""
    out = []
    for key, value in section.items():
        out.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            out += all_fields(value, f"{prefix}{key}.")
    return out


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns `{field: (old, new)}` of the smallest fields that differ."""
    out: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            out |= {f"{key}.{field}": pair for field, pair in differences(a, b).items()}
        elif a != b:
            out[key] = (a, b)
    return out
