"""Writes docs/params.md, the reference of `params.yaml`, from its schema.

    python scripts/params_reference.py [--check]

With `--check` nothing is written; the exit code is 1 if the page is not what would be.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from segtrail.recipe import Params
from segtrail.settings.base import NAME_PATTERN
from segtrail.settings.loss import READ_BY, LossName, head_of
from segtrail.settings.metrics import KINDS, OF_A_CLASS, Kind
from segtrail.settings.published import PUBLISHED

PAGE = Path(__file__).resolve().parents[1] / "docs/params.md"
SMALLEST = """\
datasets:
  mine: {adapter: folders, masks: classes, classes: [cell], splits: {}, slices: {}}
recipes:
  mine:
    dataset: mine
    classes: [cell]
    preprocessing: {}
    network: {}
    training: {steps: 1000}
    objects: {}
    validation: {}
    serving: {}
    gate: {absolute: [{metric: mean_iou, min: 0.7}]}
"""
MORE = {  # above the table of a part
    "Dataset": "Under `datasets.<name>`. More in [adapters](adapters.md).",
    "splits": "More in [splits](splits.md).",
    "Recipe": "Under `recipes.<name>`. `network: {}` is a `unet`; see also [Presets](#presets).",
    "training": "[Losses](#losses) tells which masks a loss fits, and which options it reads.",
    "training.hardware": "More in [hardware](hardware.md).",
    "objects.canny": "More in [counters](counters.md).",
    "gate": "[Metrics](#metrics) tells what a rule can ask for.",
    "drift": "More in [drift](drift.md).",
    "tuning": "More in [tuning](tuning.md).",
    "Platform": "Under `platform`, beside `recipes`. More in [platform](platform.md).",
    "Presets": "Published networks: `network: {preset: unet-64}`; options beside `preset` win. "
    "Parameters are as published; of those `trained` the moving averages are not counted.",
    "Losses": "`training.loss`: the masks that it fits, and the `training.loss_options` that it "
    "reads. Others are refused. The formulas are in `model.losses`.",
    "Metrics": "What `gate` can ask for, and what a recipe needs to have it. Where a class is "
    "neither there nor predicted nothing is wrong; more conventions and the formulas are in "
    "`model.scores`. Reports also have `coco_ap`, which is of all objects of a slice together, no "
    "mean over images: rules cannot ask for it.",
}
_WORDS = {"integer": "whole number", "string": "text", "null": "`null`", "boolean": "true or false"}
_BOUNDS = {
    "minimum": "at least", "minItems": "at least", "minLength": "at least", "gt": "above",
    "exclusiveMinimum": "above", "maximum": "at most", "maxItems": "at most",
    "maxLength": "at most", "exclusiveMaximum": "below", "multipleOf": "a multiple of",
}  # fmt: skip


def page() -> str:
    """Returns the page in Markdown."""
    schema = Params.model_json_schema()["$defs"]
    models = ("Dataset", "Recipe", "Platform")
    parts = [*(part for model in models for part in _sections(model, schema)), *_tables()]
    contents = "".join(
        ("\n- " if title[0].isupper() else ", ") + _link(title)
        for title, _ in parts
        if "." not in title
    )
    blocks = [
        "# `params.yaml`",
        "The smallest one that loads. `{}` stands for a section's defaults; a name has the letters "
        f"a to z, digits and hyphens.\n\n```yaml\n{SMALLEST}```",
        contents.strip(),
        *(f"{'##' if title[0].isupper() else '###'} {title}\n\n{text}" for title, text in parts),
        "Made by `python scripts/params_reference.py` from the schema.\n",
    ]
    return "\n\n".join(blocks)


def _sections(model: str, schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the title and the text of a section, then those of the sections inside it."""
    node, title, rows = schema[model], path or model, []
    inside: dict[str, str] = {}
    for option, field in sorted(node["properties"].items(), key=lambda it: "const" not in it[1]):
        place = f"{path}.{option}".lstrip(".")
        models = re.findall(r"#/\$defs/(\w+)", json.dumps(field))
        for each in models:
            name = schema[each]["properties"].get("name", {}).get("const", each.lower())
            inside[each] = f"{place}: {name}" if len(models) > 1 else place
        inner = schema[models[0]]["description"] if len(models) == 1 else ""
        about = field.get("description") or inner.partition("\n\n")[0]
        default = "required" if option in node.get("required", []) else _default(field)
        rows.append((f"`{option}`", _either(_kinds(field, inside)), default, about))
    table = _table(title, ("option", "values", "default", "meaning"), rows)
    yield title, f"{node['description']}\n\n{table}"
    for each, place in inside.items():
        yield from _sections(each, schema, place)


def _kinds(node: dict[str, Any], titles: dict[str, str]) -> list[str]:
    """Returns in words what a value may be, one entry an alternative."""
    if "$ref" in node:
        return [_link(titles[node["$ref"].rpartition("/")[2]])]
    if "const" in node or "enum" in node:
        return [f"`{value}`" for value in node.get("enum") or [node["const"]]]
    if union := node.get("anyOf") or node.get("oneOf"):
        rest = {key: value for key, value in node.items() if key not in ("anyOf", "oneOf")}
        kinds = dict.fromkeys(kind for one in union for kind in _kinds(rest | one, titles))
        return [kind for kind in kinds if kind.partition("whole ")[2] not in kinds]
    kind = node.get("type", "anything")
    if kind == "array":
        return [f"list{_bounds(node, ' of ')}: {_either(_kinds(node['items'], titles))}"]
    if kind == "object":
        keyed = node.get("patternProperties") or {"": node["additionalProperties"]}
        ((pattern, values),) = keyed.items()
        named = f"{'name' if pattern else 'text'} to {_either(_kinds(values, titles))}"
        return [f"mapping{_bounds(node, ' of ')}: {named}"]
    if "pattern" in node:
        return ["name" if node["pattern"] == NAME_PATTERN else f"text like `{node['pattern']}`"]
    return [_WORDS.get(kind, kind) + (_bounds(node, " ") if kind in ("integer", "number") else "")]


def _bounds(node: dict[str, Any], before: str) -> str:
    """Returns between what a number lies, or how many entries there are."""
    text = " and ".join(f"{says} {node[key]}" for key, says in _BOUNDS.items() if key in node)
    text = re.sub(r"at least (\S+) and at most (\S+)", r"\1 to \2", text)
    return before + re.sub(r"^(\S+) to \1$", r"\1", text) if text else ""


def _default(field: dict[str, Any]) -> str:
    value = field["default"]
    if value and value == field.get("items", {}).get("enum"):
        return "all"
    value = {} if isinstance(value, dict) else value  # a section's are in its own table
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _tables() -> Iterator[tuple[str, str]]:
    """Yields the titles and the texts of presets, losses and metrics."""
    head = ["preset", "parameters", "channels", "outputs", "source", "stands for"]
    presets = []
    for name, one in PUBLISHED.items():
        count = f"{one.parameters:,}" + " trained" * one.trainable
        options = json.dumps(dict(one.options)).replace('"', "")
        size = (count, str(one.channels), str(one.outputs))
        presets.append((f"`{name}`", *size, one.source, f"`{options}`"))
    yield "Presets", _table("Presets", head, presets)
    losses = []
    for loss in get_args(LossName):
        masks = "`classes`" if head_of(loss) == "softmax" else "all"
        options = ", ".join(f"`{option}`" for option, by in READ_BY.items() if loss in by)
        losses.append((f"`{loss}`", head_of(loss), masks, options))
    yield "Losses", _table("Losses", ["loss", "head", "masks", "options"], losses)
    named = KINDS | {f"{prefix}<class>": kind for prefix, kind in OF_A_CLASS.items()}
    metrics = [
        (f"`{name}`", kind.says, _good(kind), kind.needs.says) for name, kind in named.items()
    ]
    yield "Metrics", _table("Metrics", ["metric", "mean over images of", "best", "needs"], metrics)


def _good(kind: Kind) -> str:
    return {"more": f"{kind.highest:g}", "less": "0", "neither": "0"}[kind.better]


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[cell.replace("|", r"\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *cells]]
    return "\n".join([MORE[title], "", *lines] if title in MORE else lines)


def _either(words: Sequence[str]) -> str:
    word = ", or " if any(": " in each for each in words) else " or "
    return word.join(filter(None, (", ".join(words[:-1]), words[-1])))


def _link(title: str) -> str:
    """Returns a link to a heading of the page, by the anchor that GitHub gives it."""
    return f"[{title}](#{re.sub(r'[^a-z0-9_ -]', '', title.lower()).replace(' ', '-')})"


def main(check: bool) -> None:
    """Writes the page, or exits with 1 if it is not what would be written."""
    if not check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is not of this schema: python scripts/params_reference.py")


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    main(check="--check" in sys.argv)
