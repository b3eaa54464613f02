"""The adapter in docs/adapters.md works as it stands there, and the tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from components.ingestion import adapter as contract
from components.ingestion.adapters import folders, wbc
from components.ingestion.clusters import CLUSTERS
from segtrail.settings.dataset import Dataset

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/adapters.md").read_text()
IMAGE = np.random.default_rng(6).integers(0, 256, (16, 18), np.uint8)
MASK = np.zeros((16, 18), np.uint8)
MASK[3:9, 4:12] = 255


@pytest.fixture
def example():
    """Runs the code of the page; the adapter is forgotten after the test."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    contract.adapters()
    before = dict(contract._ADAPTERS)
    namespace = {"__name__": "pairs"}
    exec(compile(code, "docs/adapters.md", "exec"), namespace)
    yield namespace["Pairs"]
    contract._ADAPTERS.clear()
    contract._ADAPTERS.update(before)


def test_the_example_reads_a_delivery(example, bench):
    assert contract.adapters()["pairs"] is example
    for name in ("x", "day/y"):
        bench.image(f"{name}.png", IMAGE)
        bench.image(f"{name}_seg.png", MASK)
    out = bench.read("pairs", "classes", "cell", source=bench.zipped())
    assert not out.problems
    assert list(out.masks) == ["day-y", "x"]
    np.testing.assert_array_equal(out.masks["x"], MASK // 255)
    np.testing.assert_array_equal(out.images["x"].pixels, IMAGE)


def test_the_example_refuses_what_does_not_fit(example, bench):
    for name, mask in (("a", MASK // 2), ("b", MASK[:9]), ("c", MASK)):
        bench.image(f"{name}_seg.png", mask)
        if name != "c":
            bench.image(f"{name}.png", IMAGE)
    (bench.root / "c.png").write_bytes(b"no image")
    out = bench.read("pairs", "classes", "cell")
    assert out.says("a_seg.png", "expected 0 and 255, found 127 in 48 pixels", image="a")
    assert out.says("b_seg.png", "expected 18x16", image="b")
    assert out.says("c.png", "not an image", image="c")
    assert not out.masks


def test_the_example_misses_no_image_and_no_mask(example, bench):
    bench.image("day/a.png", IMAGE)
    bench.image("b_seg.png", MASK)
    out = bench.read("pairs", "classes", "cell")
    assert not out.items
    assert out.says("day/a_seg.png: expected this file, found none", image="day-a")
    assert out.says("b.png: expected this file, found none", image="b")
    assert len(out.problems) == 2


def test_a_dataset_of_the_example_is_what_the_schema_allows(example):
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (settings,) = yaml.safe_load(block)["datasets"].values()
    assert isinstance(contract.adapter_for(Dataset.model_validate(settings)), example)


def test_the_readme_has_the_same_example():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code in (ROOT / "README.md").read_text()


def test_the_page_names_all_endings_of_masks_and_all_classes_of_cells():
    endings = re.search(r"or that and (.*?),\s+also", PAGE, re.DOTALL)[1]
    named = set(re.findall(r"`_([a-z]+)`", endings))
    words = {w for w in re.findall(r"[a-z]+", PAGE) if folders._SUFFIX.fullmatch(f"_{w}")}
    assert named == words == {"mask", "masks", "label", "labels", "seg", "segmentation", "gt"}
    for number, cell in wbc.CELLS.items():
        assert re.search(rf"\b{number}\s+{cell}\b", PAGE)
    assert all(f"| `{modality}` |" in PAGE for modality in CLUSTERS)


def test_the_example_is_20_lines_of_code(example):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    body = code.partition("@register\n")[2]
    assert sum(1 for line in body.splitlines() if line.strip()) <= 20


def test_the_page_has_each_adapter_and_no_other():
    first_column = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE, re.MULTILINE)
    known = list(contract.adapters())
    assert sorted(first_column) == sorted(known * 2)  # both tables
