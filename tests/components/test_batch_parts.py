"""Parts of batch inference by themselves: merging tables, naming results, measuring, telling."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from components.batching import chunks, merging, sources, watching
from components.batching.measuring import image_schema, measure, object_schema
from components.batching.output import Output
from segtrail.errors import DataError
from segtrail.files import sha256_file, write_text
from segtrail.images import encode_png
from segtrail.settings.objects import Objects
from segtrail.task import Task
from serving.prediction import Prediction

SCHEMA = pa.schema([("image", pa.string()), ("value", pa.int64())])
IMAGES = st.dictionaries(st.text("ab/é.", min_size=1, max_size=4), st.integers(0, 5), max_size=12)


@settings(deadline=None)
@given(IMAGES, st.data())
def test_tables_merge_into_the_same_bytes_however_they_were_dealt_out(tmp_path_factory, rows, data):
    folder = tmp_path_factory.mktemp("merge")
    groups, merging._GROUP = merging._GROUP, 4
    try:
        written = []
        for deal in range(2):
            count = data.draw(st.integers(1, 4))
            owner = {name: data.draw(st.integers(0, count - 1)) for name in rows}
            paths = []
            for number in range(count):
                stale = {name for name in rows if data.draw(st.booleans())}
                names = sorted(n for n in rows if owner[n] == number or n in stale)
                pairs = [
                    (name, value if owner[name] == number else -1)
                    for name in names
                    for value in range(rows[name])
                ]
                table = pa.table([[n for n, _ in pairs], [v for _, v in pairs]], schema=SCHEMA)
                paths.append(folder / f"{deal}-{number}.parquet")
                parquet.write_table(table, paths[-1], row_group_size=3)
            out = folder / f"{deal}.parquet"
            total = merging.merge(paths, owner, SCHEMA, out)
            expected = [(name, value) for name in sorted(rows) for value in range(rows[name])]
            found = parquet.read_table(out).to_pydict()
            assert list(zip(found["image"], found["value"], strict=True)) == expected
            assert total == len(expected)
            written.append(sha256_file(out))
        assert written[0] == written[1]
    finally:
        merging._GROUP = groups


PIECES = st.sampled_from(["a", "b", ".png", ".tif", ".mask", ".labels", "/"])
NAMES = st.lists(PIECES, min_size=1, max_size=6).map("".join)


@given(st.sets(NAMES, max_size=3))
def test_no_two_images_share_a_file_of_results(names):
    out = Output(Path("/out"))
    relative = {"/".join(filter(None, name.split("/"))) for name in names} - {""}
    files = [file(name) for name in relative for file in (out.mask, out.labels)]
    assert len(set(files)) == 2 * len(relative)
    assert out.mask("a/b.png") == Path("/out/masks/a/b.png.mask.png")


def test_a_chunk_ends_after_so_many_images_or_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 3)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100)
    paths = {}
    for number, size in enumerate((10, 10, 10, 99, 1, 500, None, 5)):
        paths[f"é {number}\n"] = str(tmp_path / str(number))
        if size is not None:  # one is gone by now
            (tmp_path / str(number)).write_bytes(bytes(size))
    done = {"é 1\n": chunks.Digests("a", "b", None)}
    places = chunks.write(paths, done, tmp_path / "todo")
    assert [place.images for place in places] == [3, 2, 1, 2]
    read = [image for place in places for image in chunks.read(tmp_path / "todo", place)]
    assert read == [chunks.Image(name, path, done.get(name)) for name, path in paths.items()]


def test_a_folder_that_is_called_like_a_result_is_refused(tmp_path):
    for name in ("a.png", "a.png.mask.png/b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png\.mask\.png: is a folder of images, and would be"):
        sources.find(tmp_path / "in", tmp_path / "out")


def test_names_that_no_table_can_hold_are_listed_and_not_asked_for(tmp_path):
    long = "n" * 220 + ".png"
    for name in (b"\xff.png", long.encode(), b"good.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        with open(bytes(tmp_path / "in") + b"/" + name, "wb"):
            pass
    found = sources.find(tmp_path / "in", tmp_path / "out")
    assert list(found.paths) == ["good.png"]
    assert found.unnamed["\\xff.png"].startswith("its path is not text in UTF-8")
    assert "has 224 bytes; at most 200" in found.unnamed[long]


def test_two_of_a_list_that_would_have_one_name_are_refused(tmp_path):
    listed = tmp_path / "list.txt"
    far = f"/{tmp_path.name}/x.png"
    write_text(listed, f"{far}\n{far.lstrip('/')}\n")
    with pytest.raises(DataError, match="would both be called"):
        sources.find(listed, tmp_path / "out")


def test_overlapping_classes_are_measured_each_by_itself():
    mask = np.zeros((8, 10), np.uint8)
    mask[1:4, 1:4] |= 1
    mask[2:8, 2:9] |= 2
    mask[0, 9] |= 2  # too small
    planes = np.stack([np.full((8, 10), 51, np.uint8), np.where(mask & 2, 204, 0).astype(np.uint8)])
    answer = Prediction(
        1, encode_png(mask), probability_pngs=tuple(encode_png(p) for p in planes), size=(8, 10)
    )
    task = Task("multilabel", ("disc", "cup"), ((1,), (2,)))
    row, table = measure(answer, np.full((8, 10, 3), 9, np.uint8), task, Objects(min_size=4))
    assert row == {
        "height": 8, "width": 10, "count": 2, "share_disc": 9 / 80,
        "probability_disc": pytest.approx(0.2), "share_cup": 43 / 80,
        "probability_cup": pytest.approx(0.8 * 43 / 80),
    }  # fmt: skip
    assert list(table["class"]) == ["disc", "cup"]
    assert list(table["area"]) == [9, 42]
    assert list(table["confidence"]) == [pytest.approx(0.2), pytest.approx(0.8)]
    assert {"image", *table.columns} == set(object_schema().names)
    assert set(row) < set(image_schema(task).names)


def test_the_line_tells_rate_and_what_remains():
    assert watching.line(deque([(0.0, 0)]), 9) == "segmenting: 0 of 9 images"
    looks = deque([(0.0, 1000), (20.0, 1100)])
    assert (
        watching.line(looks, 1200) == "segmenting: 1,100 of 1,200 images, 5.0 a second, 20 s left"
    )
    assert watching.line(looks, 10_100).endswith("5.0 a second, 30 min left")
