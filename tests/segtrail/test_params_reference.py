"""docs/params.md is what the schema says, and what it says holds."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from segtrail.errors import ConfigError
from segtrail.params import check_params
from segtrail.recipe import Params
from segtrail.settings.metrics import kind_of
from segtrail.settings.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/params.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^##+ (.+)\n\n((?:(?!##).*\n)+)", PAGE, re.MULTILINE))


def script() -> Any:
    spec = importlib.util.spec_from_file_location("_", ROOT / "scripts/params_reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def leaves(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str]]:
    for option, field in model.model_fields.items():
        inside = models_in(field.annotation)
        for each in inside:
            yield from leaves(each)
        if not inside:
            yield model, option


def rows(title: str) -> list[dict[str, str]]:
    """Returns the table of a section, by its heads, without backticks."""
    lines = [line for line in SECTIONS[title].splitlines() if line.startswith("|")]
    head, _, *cells = [
        [cell.strip().replace("`", "") for cell in line[1:-1].split(" | ")] for line in lines
    ]
    return [dict(zip(head, row, strict=True)) for row in cells]


def smallest() -> Any:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    return yaml.safe_load(block[1])


NAMES = ("cell", "other")


def loads(
    masks: str,
    classes: int,
    loss: str = "bce",
    metric: str = "mean_iou",
    called: tuple[str, ...] = NAMES,
) -> bool:
    raw = smallest()
    names = list(called[:classes])
    raw["datasets"]["mine"] |= {"masks": masks, "classes": names}
    raw["recipes"]["mine"] |= {"classes": names, "training": {"steps": 1, "loss": loss}}
    metric = metric.replace("<class>", names[0])
    side = "max" if kind_of(metric).better == "less" else "min"
    rule = {"metric": metric, side: 0.5}
    raw["recipes"]["mine"]["gate"]["absolute"][0] = rule
    try:
        check_params(raw, "params.yaml")
    except ConfigError:
        return False
    return True


def test_the_page_is_what_would_be_written(tmp_path, monkeypatch):
    module = script()
    assert module.page() == PAGE, "python scripts/params_reference.py writes it anew"
    module.main(check=True)
    monkeypatch.setattr(module, "PAGE", tmp_path / "params.md")
    for written in (None, "another\n"):
        if written:
            module.PAGE.write_text(written)
        with pytest.raises(SystemExit, match="not of this schema"):
            module.main(check=True)
    module.main(check=False)
    assert module.PAGE.read_text(encoding="utf-8") == PAGE


def test_every_option_is_in_the_table_of_its_section():
    assert len({model for model, _ in leaves(Params)}) > 20
    for model, option in leaves(Params):
        about, field = inspect.cleandoc(model.__doc__ or ""), model.model_fields[option]
        (title,) = (title for title, text in SECTIONS.items() if text.startswith(f"{about}\n"))
        (row,) = (row for row in rows(title) if row["option"] == option)
        assert (row["default"] == "required") == field.is_required(), (title, option)
        assert row["meaning"] == (field.description or "").replace("`", ""), (title, option)


def test_the_smallest_recipe_loads():
    params = check_params(smallest(), "params.yaml")
    assert params.recipes["mine"].dataset in params.datasets


def test_no_smaller_recipe_loads():
    def without(node: Any, whole: Any) -> Iterator[Any]:
        for key in [*node]:
            kept = node.pop(key)
            yield copy.deepcopy(whole)
            node[key] = kept
            inner = kept[0] if isinstance(kept, list) else kept
            if isinstance(inner, dict):
                yield from without(inner, whole)

    whole = smallest()
    smaller = [
        *without(whole["datasets"]["mine"], whole),
        *without(whole["recipes"]["mine"], whole),
    ]
    assert len(smaller) == 5 + 9 + len(["steps", "absolute", "metric", "min"])
    for raw in smaller:
        with pytest.raises(ConfigError):
            check_params(raw, "params.yaml")


def test_losses_fit_the_masks_that_the_page_says():
    for row in rows("Losses"):
        for masks in ("instances", "classes", "multilabel"):
            assert loads(masks, 1, loss=row["loss"]) == (row["masks"] in ("all", masks)), row


def test_gates_can_ask_for_the_metrics_that_the_page_says():
    met = {
        "": lambda masks, names: True,
        "instances": lambda masks, names: masks == "instances",
        "masks: classes of which one is learnt": lambda masks, names: (
            (masks, len(names)) == ("classes", 1)
        ),
        "instances, or masks: classes of which one is learnt": lambda masks, names: (
            masks == "instances" or (masks, len(names)) == ("classes", 1)
        ),
        "more than one class": lambda masks, names: len(names) > 1,
        "classes called cup and disc": lambda masks, names: set(names) == {"cup", "disc"},
    }
    cases = [("instances", ("cell",)), ("multilabel", ("disc", "cup"))]
    cases += [(masks, NAMES[:n]) for masks in ("classes", "multilabel") for n in (1, 2)]
    assert {row["needs"] for row in rows("Metrics")} == set(met)
    for row in rows("Metrics"):
        for masks, names in cases:
            can = loads(masks, len(names), metric=row["metric"], called=names)
            assert can == met[row["needs"]](masks, names), (row, masks, names)


def test_presets_are_told():
    assert [row["preset"] for row in rows("Presets")] == [*PUBLISHED]
    for row, one in zip(rows("Presets"), PUBLISHED.values(), strict=True):
        assert int(row["parameters"].split()[0].replace(",", "")) == one.parameters
        assert yaml.safe_load(row["stands for"]) == one.options


def test_links_lead_somewhere():
    anchors = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in SECTIONS}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert target[1:] in anchors if target[0] == "#" else (ROOT / "docs" / target).exists()
