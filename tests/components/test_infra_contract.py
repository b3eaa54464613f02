"""The model's contract against signatures; test_infra_reasons has those of real SavedModels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.infra_validation.contract import deviations, expected
from segtrail.task import Task
from serving.descriptions import Signature, TensorSpec

CELLS = Task("instances", ("nucleus",), ((1,),))
EYES = Task("multilabel", ("disc", "cup"), ((1, 2), (2,)))


def changed(task: Task, signature: str, **outputs: TensorSpec | None) -> dict[str, Signature]:
    """Returns the signatures of a task's model, some outputs of one changed or left out."""
    found = expected(task)
    every = {**found[signature].outputs, **outputs}
    kept = {name: spec for name, spec in every.items() if spec is not None}
    return found | {signature: Signature(found[signature].inputs, kept)}


def said(found: dict[str, Signature], task: Task) -> list[str]:
    return [str(deviation) for deviation in deviations(found, expected(task))]


@pytest.mark.parametrize("task", [CELLS, EYES])
def test_a_model_that_keeps_it_deviates_in_nothing(task: Task) -> None:
    assert said(expected(task), task) == []


def test_objects_are_asked_for_where_there_are_any_and_nowhere_else() -> None:
    where = "serving_default.outputs"
    found = changed(CELLS, "serving_default", count=None, labels_png=None)
    assert said(found, CELLS) == [
        f"{where}.labels_png: expected string [?]; found nothing of this name",
        f"{where}.count: expected int64 [?]; found nothing of this name",
    ]
    count = TensorSpec("int64", (-1,))
    assert said(changed(EYES, "serving_default", count=count), EYES) == [
        f"{where}.count: expected nothing of this name; found int64 [?]"
    ]


def test_a_model_of_another_number_of_classes_is_told_everywhere() -> None:
    found = [line for line in said(expected(CELLS), EYES) if "expected nothing" not in line]
    assert found == [
        "serving_default.outputs.probability_png: expected string [?, 2]; found string [?, 1]",
        "raw.outputs.probabilities: expected float32 [?, ?, ?, 2]; found float32 [?, ?, ?, 1]",
        "raw16.outputs.probabilities: expected float32 [?, ?, ?, 2]; found float32 [?, ?, ?, 1]",
        "metadata.outputs.class_names: expected string [2]; found string [1]",
    ]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (TensorSpec("string", None), "string of unknown rank"),
        (TensorSpec("string", (-1, -1)), "string [?, ?]"),
        (TensorSpec("string", (4,)), "string [4]"),
        (TensorSpec("double", (-1,)), "float64 [?]"),
    ],
)
def test_type_rank_and_fixed_sizes_count(spec: TensorSpec, found: str) -> None:
    assert said(changed(CELLS, "serving_default", mask_png=spec), CELLS) == [
        f"serving_default.outputs.mask_png: expected string [?]; found {found}"
    ]


def test_a_size_that_the_graph_leaves_open_and_more_metadata_do_no_harm() -> None:
    open_size = TensorSpec("string", (-1, -1))
    assert said(changed(EYES, "serving_default", probability_png=open_size), EYES) == []
    assert said(changed(EYES, "metadata", author=TensorSpec("string", ())), EYES) == []
    more = expected(EYES) | {"__saved_model_init_op": Signature({}, {}), "mine": Signature({}, {})}
    assert said(more, EYES) == []


def test_a_missing_signature_is_told_with_those_that_are_there() -> None:
    found = {"serve": Signature({}, {}), "__saved_model_init_op": Signature({}, {})}
    lines = said(found, EYES)
    assert lines[0] == "serving_default: expected a signature of this name; found serve"
    assert len(lines) == 4
    assert said({}, EYES)[0].endswith("found no signature")


def test_the_reference_has_each_signature_and_tensor() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/reference/model.md"
    told: dict[str, set[str]] = {}
    signature = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and "`" in cells[0] + cells[1]:
            signature = cells[0].strip("`") or signature
            told.setdefault(signature, set()).update(re.findall("`([a-z_]+)`", cells[1]))
    contract = expected(CELLS)
    assert set(told) == set(contract)
    for name in ("serving_default", "raw", "metadata"):
        assert told[name] == {*contract[name].inputs, *contract[name].outputs}
