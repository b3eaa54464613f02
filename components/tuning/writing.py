"""Changes values in `params.yaml` and nothing else: every other character stays.

The text is changed where YAML's own parser says that a value stands, and read again to prove
that just these values changed.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

from segtrail.errors import StageError
from segtrail.params import check_params, dump
from segtrail.recipe import Recipe


def with_values(text: str, name: str, changes: Mapping[str, Any], expected: Recipe) -> str:
    """Returns the text of `params.yaml` with other values in one recipe.

    Args:
        text: As it is.
        name: The recipe.
        changes: Values by field, such as `training.learning_rate`.
        expected: What the recipe is then.

    Raises:
        StageError: That cannot be done without changing something else, such as a value that
            another recipe shares by an alias.
    """
    before = check_params(yaml.safe_load(text), "params.yaml")
    try:
        for field, value in changes.items():
            text = _with_value(text, ["recipes", name, *field.split(".")], value)
        after = check_params(yaml.safe_load(text), "params.yaml")
        wanted = dump(before)
        wanted["recipes"][name] = dump(expected)
        if dump(after) != wanted:
            raise _ByHandError("something else would change with it")
    except (_ByHandError, yaml.YAMLError) as e:
        lines = [f"{field}: {_inline(value)}" for field, value in changes.items()]
        raise StageError(
            f"params.yaml is written so that it cannot be changed safely: {e}",
            f"write into recipes.{name} by hand:\n     " + "\n     ".join(lines),
        ) from None
    return text


def unified_diff(old: str, new: str) -> str:
    """Returns the difference as `diff -u` shows it."""
    return "".join(
        difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True),
            "a/params.yaml", "b/params.yaml",
        )
    )  # fmt: skip


class _ByHandError(Exception):
    pass


def _with_value(text: str, path: list[str], value: Any) -> str:
    """Returns the text with the value at `path` replaced, or added to its section."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    uses: Counter[int] = Counter()
    _count(node, uses)
    for depth, key in enumerate(path):
        if uses[id(node)] > 1:
            raise _ByHandError(f"{'.'.join(path[:depth])} is shared by an alias")
        if not isinstance(node, yaml.MappingNode):
            break
        child = next((v for k, v in node.value if k.value == key), None)
        if child is None:
            return _added(text, node, path[depth:], value)
        node = child
    else:
        depth = len(path)
    if uses[id(node)] > 1:
        raise _ByHandError(f"{'.'.join(path[:depth])} is shared by an alias")
    rest = path[depth:]
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        raise _ByHandError(f"{'.'.join(path[:depth])} spans several lines")
    start, end = node.start_mark.index, node.end_mark.index
    space = "" if start and text[start - 1].isspace() else " "
    return text[:start] + space + _inline(_nested(rest, value)) + text[end:]


def _added(text: str, section: yaml.MappingNode, path: list[str], value: Any) -> str:
    """Returns the text with one more key in a section: at its end, in the section's own style."""
    pair = f"{path[0]}: {_inline(_nested(path[1:], value))}"
    if section.flow_style:
        end = section.end_mark.index - 1
        inner = text[section.start_mark.index + 1 : end]
        kept = len(inner.rstrip())
        at = section.start_mark.index + 1 + kept
        comma = "" if not section.value else (" " if inner.rstrip().endswith(",") else ", ")
        return f"{text[:at]}{comma}{pair}{text[at:]}"
    first = section.value[0][0].start_mark
    indent = " " * first.column
    lines = text.splitlines(keepends=True)
    ends = [v.end_mark.line for _, v in section.value if _ends_on_its_line(v)]
    if not ends:
        return f"{text[: first.index]}{pair}\n{indent}{text[first.index :]}"
    last = max(ends)
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    newline = "\r\n" if lines[last].endswith("\r\n") else "\n"
    lines.insert(last + 1, f"{indent}{pair}{newline}")
    return "".join(lines)


def _ends_on_its_line(node: Any) -> bool:
    """Returns whether a value's end mark is its end: of a block it is where the next begins."""
    if isinstance(node, yaml.ScalarNode):
        return node.style not in ("|", ">")
    return bool(node.flow_style)


def _count(node: yaml.Node, uses: Counter[int]) -> None:
    uses[id(node)] += 1
    if uses[id(node)] > 1:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _count(key, uses)
            _count(value, uses)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _count(value, uses)


def _nested(path: list[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _inline(value: Any) -> str:
    """Returns a value as YAML in one line."""
    text = yaml.safe_dump([value], default_flow_style=True, width=10**6, sort_keys=False)
    return text.strip()[1:-1]
