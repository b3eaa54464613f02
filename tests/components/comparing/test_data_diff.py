"""Comparisons of data versions: what differs, by how much, and the page about it."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import data_versions
import miniature
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import data_diff as cli_diff
from cli import data_log as cli_log
from components.comparing import page, report, statistics
from components.comparing.shift import shifts
from components.comparing.statistics import Measured, lowest_iou
from components.data_diff import compare
from components.ingest import ingest
from lineage import data_history, dvc_files
from segtrail import git, tombstones
from segtrail.errors import ConfigError, WorkspaceError
from segtrail.files import write_text
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import decode_image, encode_png, read_labels
from segtrail.settings.dataset import Dataset
from segtrail.workspace import Workspace

ROOT = Path(__file__).parents[3]
ISBI = ROOT.parent / "shared/data/isbi2012/membrane.zip"
CELLS = Dataset(adapter="folders", masks="instances", classes=["cell"], slices={}, splits={})


@pytest.fixture
def data(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> data_versions.Data:
    made, _ = data_versions.template(tmp_path_factory)
    copied = data_versions.copy(made, tmp_path / "workspace")
    monkeypatch.chdir(copied.workspace.root)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    return copied


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attributes)
        if tag == "img":
            self.images.append(found["src"] or "")
        self.links += [v or "" for k, v in attributes if k in ("href", "src") and tag != "img"]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_every_kind_of_change_is_told(data):
    found = compare(data.workspace, "1", "3", "cells").to_json()
    kinds = {k: found[k] for k in ("added", "removed", "replaced")}
    assert kinds == {"added": ["g", "h"], "removed": ["f"], "replaced": ["b"]}
    (c,) = found["relabelled"]
    assert (c["image"], c["objects_before"], c["objects_after"]) == ("c", 4, 3)
    assert 0.6 < c["iou"] < 0.9
    assert found["moved"] == [{"image": "d", "before": "bright", "after": "dark"}]
    assert (found["dealt_anew"], found["unread"]) == ([], {})
    assert (found["before"]["images"], found["after"]["images"]) == (6, 7)
    json.dumps(found, allow_nan=False)


def test_backwards_is_the_mirror_image(data):
    there = compare(data.workspace, "1", "3", "cells")
    back = compare(data.workspace, "3", "1", "cells")
    assert there.changes.added == back.changes.removed
    assert there.changes.relabelled == back.changes.relabelled
    assert there.agreements["c"].iou == back.agreements["c"].iou
    for a, b in zip(there.shifts, back.shifts, strict=True):
        assert (a.mean_before, a.mean_after, a.ks) == (b.mean_after, b.mean_before, b.ks)


def test_statistics_are_those_of_the_files(data):
    found = compare(data.workspace, "2", "3", "cells")
    snapshot = data_history.find(data.workspace.root, "cells", "3")
    values = [
        image_statistics(decode_image(snapshot.read(f"images/{i}.png"), i))
        | mask_statistics(read_labels(snapshot.read(f"masks/{i}.png"), i), "instances", ["cell"])
        for i in snapshot.images
    ]
    for name in ("brightness", "objects", "foreground", "width"):
        (row,) = (s for s in found.shifts if (s.slice, s.statistic) == ("all", name))
        assert row.mean_after == pytest.approx(np.mean([v[name] for v in values]))
        assert (row.n_before, row.n_after) == (8, 7)


def test_the_default_is_the_version_before(data):
    found = compare(data.workspace, None, "HEAD", "cells")
    assert found.changes.removed == ("f",)
    assert compare(data.workspace, None, "1", "cells").changes.added == tuple("abcdef")


def test_the_dataset_may_be_left_out_where_it_is_clear(data):
    assert compare(data.workspace, "HEAD~1", "HEAD").after.dataset == "fundus"
    assert compare(data.workspace, "HEAD~3", "HEAD~2").after.dataset == "cells"
    assert compare(data.workspace, None, "HEAD").after.dataset == "fundus"
    assert compare(data.workspace, None, "HEAD~1").after.dataset == "cells"
    data.put("new", *data_versions.cells(5))
    assert compare(data.workspace, None, "data/").after.dataset == "cells"
    with pytest.raises(ConfigError, match=r"which dataset\? cells, fundus"):
        compare(data.workspace, "HEAD~3", "HEAD")
    with pytest.raises(ConfigError, match="no dataset 'cell'"):
        compare(data.workspace, "1", "2", "cell")


def test_slices_are_called_what_people_call_them(data):
    path = data.workspace.params
    params = yaml.safe_load(path.read_text())
    params["datasets"]["cells"]["slices"] = {"dark": "fluorescence", "bright": "fluorescence"}
    path.write_text(yaml.safe_dump(params))
    found = compare(data.workspace, "1", "3", "cells")
    assert {shift.slice for shift in found.shifts} == {"all", "fluorescence"}
    assert found.moved == []


def test_files_as_they_lie_there(data):
    before = compare(data.workspace, "HEAD", "data/", "cells")
    assert not before.changes
    pixels, mask = data_versions.cells(0)
    data.put("a", pixels, np.zeros_like(mask))
    found = compare(data.workspace, None, "data/", "cells")
    assert found.changes.relabelled == ("a",)
    assert found.agreements["a"].iou == 0
    assert found.after.commit == ""


def test_an_image_in_another_split_is_pointed_at(data, capsys):
    data.edit("a", split="test")
    data.write_tables()
    cli_diff.diff("HEAD", "data/", "cells")
    out = capsys.readouterr().out
    assert "IN ANOTHER SPLIT: 1\n  a: train to test" in out


def test_equal_content_is_read_once(data, monkeypatch):
    read: list[str] = []
    original = statistics.decode_image

    def counted(content: bytes, name: str) -> np.ndarray:
        read.append(name)
        return original(content, name)

    monkeypatch.setattr(statistics, "decode_image", counted)
    compare(data.workspace, "1", "3", "cells")
    assert len(read) == 9  # six, g, h, and b's other content


def test_what_cannot_be_read_is_left_out_and_said(data, capsys):
    root = data.workspace.root
    old = data_history.find(root, "cells", "1")
    cache = dvc_files.cache_folder(root)
    dvc_files.object_path(cache, old.images["f"]).unlink()
    dvc_files.object_path(cache, old.masks["c"]).unlink()
    found = compare(data.workspace, "1", "2", "cells")
    assert len(found.unread) == 3  # f is in both
    assert found.changes.relabelled == ("c",)
    assert found.agreements == {}
    assert next(s for s in found.shifts if s.slice == "all").n_before == 4
    page_of = Page(report.html(found, 12))
    assert "not in DVC's cache" in "".join(page_of.text)
    cli_diff.diff("1", "2", "cells")
    assert "not readable: 3" in capsys.readouterr().out


def test_what_was_erased_is_said_as_such(data):
    root = data.workspace.root
    old = data_history.find(root, "cells", "1")
    grave = tombstones.Row(
        "f", "", "", old.images["f"], old.masks["f"], 4, "consent withdrawn", "Ada"
    )
    write_text(data.folder / tombstones.TOMBSTONES, tombstones.to_csv([grave]))
    data.deliver("Ada", removed=1)
    for md5 in (old.images["f"], old.masks["f"]):
        dvc_files.object_path(dvc_files.cache_folder(root), md5).unlink()
    found = compare(data.workspace, "1", "HEAD", "cells")
    assert found.changes.removed == ("f",)
    assert len(found.unread) == 2
    assert set(found.unread.values()) == {"erased: consent withdrawn"}


def test_no_data_yet(tmp_path):
    git.run(tmp_path, "init", "--quiet")
    miniature.dvc(tmp_path, "init", "--quiet")
    (tmp_path / "data").mkdir()
    miniature.dvc(tmp_path, "add", "--quiet", "data")
    git.commit(tmp_path, ["data.dvc"], "nothing")
    shutil.rmtree(tmp_path / ".dvc/cache")  # a clone has none
    assert list(data_history.versions(tmp_path)) == []
    with pytest.raises(WorkspaceError, match="no dataset is there yet"):
        compare(Workspace(tmp_path, tmp_path), None, "HEAD")


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not ISBI.exists(), reason="../shared/data/isbi2012 is not there")
def test_real_micrographs(tmp_path):
    root = tmp_path / "workspace"
    data_versions.make(root)
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    git.commit(root, ["params.yaml"], "Real data sets")
    workspace = Workspace(root, root)
    ingest(workspace, "isbi2012", ISBI)
    assert len(compare(workspace, None, "HEAD").changes.added) == 24
    names = sorted(path.name for path in (root / "data/isbi2012/images").iterdir())
    for folder, name in (("images", names[0]), ("masks", names[1])):
        path = root / "data/isbi2012" / folder / name
        pixels = decode_image(path.read_bytes(), name)
        path.unlink()
        path.write_bytes(encode_png(255 - pixels if folder == "images" else 0 * pixels))
    found = compare(workspace, None, "data/")
    assert found.changes.replaced == (names[0].removesuffix(".png"),)
    assert found.relabelled == [names[1].removesuffix(".png")]
    assert found.agreements[found.relabelled[0]].iou == 0
    assert (found.unread, found.moved, found.dealt_anew) == ({}, [], [])
    assert len(Page(report.html(found, 12)).images) == 5


def test_the_page_needs_nothing_else(data, tmp_path):
    target = tmp_path / "out" / "diff.html"
    cli_diff.diff("1", "3", "cells", html=target)
    text = target.read_text()
    found = Page(text)
    assert found.links == []
    assert "script" not in found.tags
    assert not re.search(r"https?://|@import|url\(", text)
    # relabelled 3, replaced 2, added 2, removed 1, moved 1
    assert len(found.images) == 9
    for uri in found.images:
        head, _, body = uri.partition(",")
        assert head == "data:image/png;base64"
        assert decode_image(base64.b64decode(body), "thumbnail").ndim == 3
    words = "".join(found.text)
    assert "4 → 3 objects" in words
    assert "bright to dark" in words


def test_the_outlines_show_before_and_after(data):
    found = compare(data.workspace, "1", "2", "cells")
    card = page.relabelled(found.before, found.after, "c", "")
    green, magenta, differing = (
        decode_image(base64.b64decode(p.uri.partition(",")[2]), p.caption) for p in card.pictures
    )
    for picture, has_green, has_magenta in (
        (green, True, False), (magenta, False, True), (differing, True, False),
    ):  # fmt: skip
        assert (picture == (0, 200, 0)).all(2).any() == has_green
        assert (picture == (255, 0, 200)).all(2).any() == has_magenta


def test_the_page_shows_no_more_than_it_is_told(data):
    found = compare(data.workspace, None, "1", "cells")
    assert len(Page(report.html(found, 2)).images) == 2
    assert "(2 shown)" in "".join(Page(report.html(found, 2)).text)
    assert Page(report.html(found, 0)).images == []


def test_names_are_escaped(data):
    evil = "<script>alert(1)</script>"
    pixels, mask = data_versions.cells(77)
    folder = data.folder
    path = "images/x&<b>.png"
    data.put("x&<b>", pixels, mask, slice=evil)
    assert (folder / path).exists()
    data.write_tables()
    text = report.html(compare(data.workspace, "HEAD", "data/", "cells"), 12)
    found = Page(text)
    assert "script" not in found.tags
    assert "b" not in found.tags
    assert "x&<b>" in found.text


def test_a_class_has_its_own_share(data):
    found = compare(data.workspace, None, "HEAD", "fundus")
    names = [s.statistic for s in found.shifts if s.slice == "all"]
    assert names[names.index("foreground") + 1 :][:2] == ["foreground_disc", "foreground_cup"]
    cup = next(s for s in found.shifts if s.statistic == "foreground_cup")
    assert (cup.n_before, cup.mean_after, cup.ks) == (0, 64 / 1024, None)


def test_json_is_all_that_is_printed(data, capsys):
    cli_diff.diff("1", "3", "cells", json=True)
    assert json.loads(capsys.readouterr().out)["added"] == ["g", "h"]


def test_the_table(data, capsys):
    cli_diff.diff("1", "3", "cells")
    out = capsys.readouterr().out
    assert out.startswith("cells: ")
    assert "(6 images) to " in out
    assert "relabelled: 1\n  c: IoU 0." in out
    brightness = next(line for line in out.splitlines() if line.startswith("all     brightness"))
    assert "6 → 7" in brightness
    cli_diff.diff("3", "3", "cells")
    assert "no image differs" in capsys.readouterr().out


def test_what_did_not_shift_is_counted_and_not_listed(data, capsys):
    """One mask of many images is another: image statistics and other slices stay as they were."""
    for number in range(60):
        data.put(f"more-{number}", *data_versions.cells(1000 + number), slice="light")
    data.deliver("Ada", added=60)
    pixels, mask = data_versions.cells(0)
    data.put("a", pixels, np.where(mask == 1, mask, 0))
    data.write_tables()
    cli_diff.diff("HEAD", "data/", "cells")
    lines = capsys.readouterr().out.splitlines()
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("slice ")) + 1 :]
    *shown, last = table
    assert {tuple(line.split()[:2]) for line in shown} == {
        (slice_, statistic)
        for slice_ in ("all", "dark")
        for statistic in ("foreground", "objects")  # the objects are of one size
    }
    cli_diff.diff("HEAD", "data/", "cells", every=True)
    everything = capsys.readouterr().out.splitlines()
    hidden = len(everything) - len(lines) + 1
    assert hidden > 10
    assert last == f"others unchanged: {hidden} rows, see --all"
    assert not any(re.search(r" [+-]0\.00 ", line) for line in shown)
    assert any(line.startswith("light") and "brightness" in line for line in everything)


def test_a_commit_from_before_the_data_is_called_so(data):
    root = data.workspace.root
    tree = git.run(root, "hash-object", "-t", "tree", "-w", "/dev/null")
    older = git.run(root, "commit-tree", "-m", "Before there was data", tree)
    for pair in ((older, "HEAD"), (None, older)):
        with pytest.raises(WorkspaceError, match="older than the first data version") as caught:
            compare(data.workspace, *pair, "cells")
        assert caught.value.hint == "segtrail data log"
    with pytest.raises(WorkspaceError, match="older than the first data version"):
        compare(data.workspace, older, "HEAD")
    with pytest.raises(WorkspaceError, match="expected a git revision"):
        compare(data.workspace, "nonsense", "HEAD", "cells")


def test_the_log(data, capsys):
    cli_log.log()
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines[1:]]
    assert [row[3] for row in rows] == ["fundus", "cells", "cells", "cells"]
    second = rows[2]
    assert second[5:] == ["2", "8", "4", "2", "2", "+2", "~2", "-0", "Bob"]
    assert rows[0][-3:] == ["Ada", "(by", "hand)"]
    cli_log.log(last=1)
    assert "older ones" in capsys.readouterr().out
    cli_log.log("cells", json=True)
    found = json.loads(capsys.readouterr().out)
    assert [version["images"] for version in found] == [7, 8, 6]
    assert found[1]["changes"] == {"added": 2, "removed": 0, "replaced": 1, "relabelled": 1}
    assert found[1]["deliveries"][0]["by"] == "Bob"


def test_the_log_of_what_is_not_in_the_cache(data, capsys):
    root = data.workspace.root
    for path in dvc_files.cache_folder(root).glob("*/*.dir"):
        path.unlink()
    cli_log.log()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all("not in DVC's cache" in line for line in lines[1:])


NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=20)


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_shifts_are_plain_numbers(old, new):
    def table(values: list[float], mark: str) -> dict:
        return {
            f"{mark}{i}": dict.fromkeys(
                ("brightness", "contrast", "height", "width", "foreground", "objects",
                 "median_object"), value,
            )
            for i, value in enumerate(values)
        }  # fmt: skip

    measured = Measured(table(old, "a"), table(new, "b"))
    found = shifts(measured, dict.fromkeys(measured.before, "x"), {}, CELLS)
    assert ("all" in {s.slice for s in found}) == bool(old or new)
    for shift in found:
        assert (shift.mean_before is None) == (shift.n_before == 0)
        assert shift.ks is None or 0 <= shift.ks <= 1
        if shift.deviations is not None:
            assert np.isfinite(shift.deviations)
        json.dumps(shift.__dict__, allow_nan=False)
    same = shifts(Measured(table(old, "a"), table(old, "a")), {}, {}, CELLS)
    assert all(s.ks in (None, 0) and s.deviations in (None, 0) for s in same)


def test_a_shift_of_one_deviation_is_one():
    values = np.random.default_rng(1).normal(100, 10, 500)
    row = dict.fromkeys(("contrast", "height", "width", "foreground", "objects", "median_object"))
    before = {str(i): {**row, "brightness": v} for i, v in enumerate(values)}
    after = {str(i): {**row, "brightness": v + values.std(ddof=1)} for i, v in enumerate(values)}
    for table in (before, after):
        for cells in table.values():
            cells |= dict.fromkeys(row, 1.0)
    found = shifts(Measured(before, after), {}, {}, CELLS)
    assert found[0].statistic == "brightness"
    assert found[0].deviations == pytest.approx(1)
    assert 0.3 < found[0].ks < 0.5  # 0.383 in theory: 2 * Phi(1/2) - 1
    assert all(s.deviations == 0 for s in found[1:])


@pytest.mark.parametrize(
    ("kind", "old", "new", "classes", "expected"),
    [
        ("instances", [[1, 2]], [[2, 1]], 1, 1.0),
        ("instances", [[1, 0]], [[1, 2]], 1, 0.5),
        ("instances", [[0, 0]], [[0, 0]], 1, 1.0),
        ("classes", [[1, 2]], [[1, 1]], 2, 0.0),
        ("multilabel", [[3, 1]], [[3, 3]], 2, 0.5),
        ("instances", [[1, 2]], [[1], [2]], 1, 0.0),
    ],
)
def test_the_lowest_iou(kind, old, new, classes, expected):
    masks = (np.array(mask, np.uint16) for mask in (old, new))
    assert lowest_iou(*masks, kind, classes) == expected


def test_objects_in_common_are_left_out():
    old = np.array([[1, 1, 0, 2, 2, 0, 3]], np.uint16)
    new = np.array([[7, 7, 0, 2, 0, 5, 0]], np.uint16)
    found = page.without_common(old, new)
    assert [mask.tolist() for mask in found] == [[[0, 0, 0, 2, 2, 0, 3]], [[0, 0, 0, 2, 0, 5, 0]]]
    assert not any(mask.any() for mask in page.without_common(old, old * 9))


@settings(deadline=None)
@given(st.dictionaries(st.text("abcdef", min_size=1), st.sampled_from("xyz")), st.integers(0, 12))
def test_what_is_shown_is_spread_over_the_slices(slices, most):
    shown = page.spread(slices, slices, most)
    assert len(shown) == len(set(shown)) == min(most, len(slices))
    counts = [sum(slices[i] == name for i in shown) for name in "xyz"]
    totals = [sum(s == name for s in slices.values()) for name in "xyz"]
    for count, total in zip(counts, totals, strict=True):
        assert count == total or count >= max(counts) - 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (3.0, "3"), (0.123456, "0.123"), (1234.56, "1235"), (12.345, "12.3")],
)
def test_numbers_for_people(value, text):
    assert page.number(value) == text
