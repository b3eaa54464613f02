"""The Data Science Bowl 2018, as delivered."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from segtrail import split_ledger

ARCHIVE = Path(__file__).parents[4] / "shared/data/dsb2018/stage1_train.zip"


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not ARCHIVE.exists(), reason="../shared/data/dsb2018 is not there")
def test_the_whole_of_dsb2018_lands(lab):
    delivery = lab.ingest(ARCHIVE)
    assert len(delivery.added) == 609
    rows = split_ledger.read(lab.root / "data/nuclei/splits.csv").values()
    counts = Counter(row.slice for row in rows)
    assert counts == {"dark-grey": 496, "bright-colour": 100, "bright-grey": 13}
    for part, test in {"dark-grey": 99, "bright-colour": 20, "bright-grey": 3}.items():
        dealt = sum(row.slice == part and row.split == "test" for row in rows)
        assert abs(dealt - test) <= 2  # whole groups are dealt
    splits = defaultdict(set)
    for row in rows:
        splits[row.group].add(row.split)
    assert len(splits) < 300  # most images have neighbours
    assert all(len(found) == 1 for found in splits.values())
    assert lab.ingest(ARCHIVE).unchanged
