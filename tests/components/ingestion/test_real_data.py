"""The Data Science Bowl 2018, as delivered."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

ARCHIVE = Path(__file__).parents[4] / "shared/data/dsb2018/stage1_train.zip"


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not ARCHIVE.exists(), reason="../shared/data/dsb2018 is not there")
def test_the_whole_of_dsb2018_lands(lab):
    delivery = lab.ingest(ARCHIVE)
    assert len(delivery.added) == 609
    with open(lab.root / "data/nuclei/splits.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    counts = Counter(row["cluster"] for row in rows)
    assert counts == {"dark-grey": 496, "bright-colour": 100, "bright-grey": 13}
    tested = Counter(row["cluster"] for row in rows if row["split"] == "test")
    assert tested == {"dark-grey": 99, "bright-colour": 20, "bright-grey": 3}
    assert lab.ingest(ARCHIVE).unchanged
