"""Which images of a source the names in COCO's annotations mean."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingestion.coco_files import ImageFiles, parts_of

NAMES = ["images/train/a.png", "images/val/a.png", "b.png", "x/images/c/d/a.png"]
PATHS = st.lists(st.sampled_from(["a", "b", "val", "images"]), min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("file_name", "annotations", "found"),
    [
        ("train/a.png", "result.json", NAMES[:1]),
        ("/data/server/val/a.png", "result.json", NAMES[1:2]),
        ("c\\d\\a.png", "result.json", NAMES[3:]),
        ("a.png", "result.json", [NAMES[0], NAMES[1], NAMES[3]]),
        ("a.png", "annotations/instances_val.json", NAMES[1:2]),
        ("elsewhere/b.png", "result.json", NAMES[2:3]),
        ("q.png", "result.json", []),
        ("../", "result.json", []),
    ],
)
def test_the_longest_end_and_the_subset_decide(file_name, annotations, found):
    assert ImageFiles(NAMES).find(file_name, annotations) == found


@given(st.lists(PATHS, unique=True, max_size=12), PATHS)
def test_it_finds_what_a_search_through_all_finds(names, wanted):
    def shared(name: str) -> int:
        pairs = zip(parts_of(wanted)[::-1], parts_of(name)[::-1], strict=False)
        return next((n for n, (a, b) in enumerate(pairs) if a != b), min(
            len(parts_of(wanted)), len(parts_of(name))
        ))  # fmt: skip

    longest = max(map(shared, names), default=0)
    expected = sorted(name for name in names if longest and shared(name) == longest)
    assert ImageFiles(names).find(wanted, "result.json") == expected


def test_many_images_of_one_name_are_found_without_a_search_through_all():
    names = [f"images/{n}/image.png" for n in range(20_000)]
    started = time.monotonic()
    files = ImageFiles(names)
    for name in names:
        assert files.find(name, "result.json") == [name]
    for _ in names:
        assert len(files.find("image.png", "annotations/instances_7.json")) == 1
    assert time.monotonic() - started < 10
