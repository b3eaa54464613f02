"""The layout of the Data Science Bowl: what the tests of ingestion do not see."""

from __future__ import annotations

import numpy as np

from components.ingestion.adapter import adapter_for
from components.ingestion.archive import open_source
from components.ingestion.problems import Problems
from segtrail.settings.dataset import Dataset

MASK = np.zeros((12, 10), np.uint8)
MASK[2:5, 2:5] = 255


def test_a_good_image_lands_though_another_thread_notes_a_problem_meanwhile(bench, monkeypatch):
    """Or else it would stay out of the dataset and of the quarantine, without a word."""
    bench.image("a/images/a.png", MASK)
    bench.image("a/masks/m.png", MASK)
    dataset = Dataset(
        adapter="dsb2018", masks="instances", classes=["nucleus"], slices={}, splits={}
    )
    adapter = adapter_for(dataset)
    with open_source(bench.root) as source:
        problems = Problems("x")
        (item,) = adapter.find(source, problems)
        read = source.read

        def read_as_another_thread_fails(name):
            problems.add("b/images/b.png", "not an image", "", "b")
            return read(name)

        monkeypatch.setattr(source, "read", read_as_another_thread_fails)
        mask = adapter.read_mask(source, item, MASK.shape, problems)
    assert mask is not None
    np.testing.assert_array_equal(mask.values, MASK // 255)
    assert [problem.image for problem in problems] == ["b"]
