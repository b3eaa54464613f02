"""What became of an image, of a data version, of a commit: in real git, DVC and ledgers."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from pathlib import Path

import cv2
import data_versions
import miniature
import numpy as np
import pytest
import traced
from miniature import DATASET, RECIPE

from components.erase import erase
from lineage import data_history, data_version, dvc_files, ledger, trace
from lineage.tracing.answers import Image
from segtrail import git, png
from segtrail.errors import LineageError, WorkspaceError
from segtrail.files import sha256_bytes, sha256_file
from segtrail.workspace import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return traced.template(tmp_path_factory)


@pytest.fixture
def past(made: Workspace, tmp_path: Path) -> Workspace:
    return miniature.copy(made, tmp_path / "workspace")


def only(workspace: Workspace, word: str, dataset: str | None = None) -> Image:
    answer = trace.image(workspace, word, dataset)
    assert answer.unread == []
    (found,) = answer.found
    return found


def uses(found: Image) -> dict[str, str]:
    return {use.model.name.partition(" run ")[0]: use.split for use in found.uses}


def commits(workspace: Workspace) -> list[str]:
    """Those of the data versions, oldest first."""
    return [commit.revision for commit in data_history.commits(workspace.root)][::-1]


def test_an_image_of_all_versions_and_of_every_model(past: Workspace) -> None:
    found = only(past, "one")
    (held,) = found.ranges
    assert (held.first.commit, held.last.commit) == (commits(past)[0], commits(past)[2])
    assert (held.versions, held.split, found.state) == (3, "train", "present")
    assert uses(found) == {f"{RECIPE} v{n}": "train" for n in (1, 2, 3)} | {RECIPE: "train"}
    assert found.uses[0].model.name == f"{RECIPE} v1"
    assert found.conclusion.startswith(f"{RECIPE} v1, which serves now, learned from it; ")
    assert f"{RECIPE} v2, which served " in found.conclusion
    assert " as a canary, learned from it; 1 model that never served learned" in found.conclusion
    assert found.delivery is not None
    assert found.delivery.source == "cells.zip"


def test_what_served_from_when_to_when(past: Workspace) -> None:
    entries = ledger.read(past.ledger(RECIPE))
    first, second, back = [entry.at for entry in entries if entry.event == ledger.DONE]
    out, away = [e.at for e in entries if e.event in (ledger.CANARY, ledger.CANARY_ABORTED)]
    served = {
        use.model.version: [(s.how, s.since, s.until) for s in use.model.services]
        for use in only(past, "one").uses
    }
    assert served == {
        1: [("champion", first, second), ("champion", back, None)],
        2: [("champion", second, back)],
        3: [("canary", out, away)],
        None: [],
    }


def test_an_image_that_was_taken_away(past: Workspace) -> None:
    found = only(past, "four")
    (held,) = found.ranges
    assert held.first == held.last
    assert (held.first.commit, held.split) == (commits(past)[1], "test")
    assert (found.state, found.why) == ("removed", "by delivery 3")
    assert uses(found) == {f"{RECIPE} v2": "test"}
    assert "judged by it" in found.conclusion
    assert (found.group, found.delivery and found.delivery.by) == ("plate-7", "Bob")


def test_a_digest_means_one_content_and_an_id_all(past: Workspace) -> None:
    by_id = only(past, "three")
    old, new = by_id.ranges
    assert [each.split for each in by_id.ranges] == ["validation"] * 2
    assert [each.first.commit for each in (old, new)] == commits(past)[1:]
    assert uses(by_id) == {f"{RECIPE} v2": "validation", f"{RECIPE} v3": "validation"} | {
        RECIPE: "validation"
    }
    for word in (old.sha256, old.sha256[:8], old.md5, old.md5[:8].upper()):
        found = only(past, word)
        assert (found.image, found.ranges) == ("three", [old])
        assert uses(found) == {f"{RECIPE} v2": "validation"}
        assert found.state == "absent"  # its name is there, with another content
        assert found.delivery
        assert found.delivery.delivery == 2
    assert only(past, new.md5).state == "present"
    assert [each.delivery and each.delivery.delivery for each in (by_id, only(past, new.md5))] == [
        3, 3,
    ]  # fmt: skip


def test_a_file_is_known_by_its_bytes_or_else_its_name(
    past: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "scan from the clinic"
    shutil.copy(past.dataset(DATASET) / "images" / "three.png", copied)
    assert only(past, str(copied)).image == "three"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").write_text("a file of that name that is no image")
    assert only(past, "one").found_by == "its id"


def test_a_file_that_ingestion_re_encoded_is_known_by_its_pixels(
    past: Workspace, tmp_path: Path
) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    data = traced.data_of(past)
    data.put("five", pixels, pixels * 0)
    (past.dataset(DATASET) / "images" / "five.png").write_bytes(png.encode(pixels))
    data.edit("five", sha256=sha256_bytes(png.encode(pixels)), delivered_sha256="d" * 64)
    data.deliver("Eve", added=1)
    cv2.imwrite(str(tmp_path / "five.bmp"), pixels)
    found = only(past, str(tmp_path / "five.bmp"))
    assert found.image == "five"
    assert found.found_by == "the pixels of the file, as ingestion writes them"


def test_a_file_as_it_was_delivered(past: Workspace, tmp_path: Path) -> None:
    delivered = tmp_path / "five.jpg"
    delivered.write_bytes(b"not even an image")
    data = traced.data_of(past)
    data.edit("one", delivered_sha256=sha256_file(delivered))
    data.commit("As if it had come as JPEG")
    found = only(past, str(delivered))
    assert (found.image, found.found_by) == ("one", "the bytes of the file")


def test_what_nothing_holds_is_said_with_what_to_give(past: Workspace, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    for word in ("nobody", "0" * 9, "abc", str(tmp_path / "note.txt"), "one.png"):
        with pytest.raises(LineageError, match="no version of the data holds") as e:
            trace.image(past, word)
        assert "at least 8 characters" in str(e.value)
    with pytest.raises(LineageError, match="has a dataset 'mine'; there are tiny"):
        trace.image(past, "one", "mine")


def test_a_beginning_of_several_digests_lists_them(past: Workspace) -> None:
    data = traced.data_of(past)
    for image, last in (("one", "1"), ("two", "2")):
        data.edit(image, delivered_sha256="ab" * 31 + f"0{last}")
    data.commit("Two that begin alike")
    with pytest.raises(LineageError, match="2 digests begin with abababab: ") as e:
        trace.image(past, "abababab")
    assert f"(SHA-256 as delivered of {DATASET}/one)" in str(e.value)
    assert only(past, "ab" * 31 + "02").image == "two"


def test_an_erased_image_is_still_traced(past: Workspace) -> None:
    path = past.dataset(DATASET) / "images" / "one.png"
    digest = sha256_file(path)
    erase(past, DATASET, ["one"], reason="consent withdrawn", by="Office")
    for word in ("one", digest):
        found = only(past, word)
        assert (found.state, found.why) == ("erased", "by delivery 4, Office: consent withdrawn")
        assert found.ranges[-1].last.commit == commits(past)[2]
        assert uses(found).keys() >= {f"{RECIPE} v{n}" for n in (1, 2, 3)}
        assert found.conclusion.startswith(f"{RECIPE} v1, which serves now, learned from it; ")


def test_a_data_version(past: Workspace) -> None:
    second = commits(past)[1]
    files = data_version.tree(past.root, second, DATASET)
    md5 = dvc_files.listing_md5(files)
    for word in (md5, md5[:10], second, data_version.data_md5_at(past.root, second)):
        (found,) = trace.data(past, word).found
        assert (found.dataset, found.data_md5, found.images) == (DATASET, md5, 4)
        assert [moment.commit for moment in found.moments] == [second]
        assert [(row.delivery, row.by) for row in found.deliveries] == [(2, "Bob")]
        assert [model.name for model in found.models] == [f"{RECIPE} v2"]
        assert "was trained on it" in found.conclusion
    with pytest.raises(WorkspaceError, match="no data version begins so, and it is no git revis"):
        trace.data(past, "f" * 32)


def test_a_commit(past: Workspace) -> None:
    models = [use.model for use in only(past, "one").uses]
    v2 = next(model for model in models if model.version == 2)
    found = trace.commit(past, v2.trained_at).found
    assert found.trained == found.recorded == found.promoted == [v2]
    assert found.data[0].data_md5 == v2.data_md5
    assert found.code is not None
    assert found.code.subject == "Workspace with data"
    assert found.conclusion.endswith("was trained at it")
    head = trace.commit(past, "HEAD").found
    assert (head.trained, [model.version for model in head.recorded]) == ([], [None])
    first = trace.commit(past, commits(past)[0]).found
    assert first.conclusion == "no model was trained at it, or promoted from it"
    with pytest.raises(WorkspaceError, match="expected a git revision"):
        trace.commit(past, "nowhere")


def test_a_clone_without_the_cache_says_what_it_cannot_look_at(
    past: Workspace, tmp_path: Path
) -> None:
    git.run(tmp_path, "clone", "--quiet", str(past.root), "clone")
    clone = Workspace(tmp_path / "clone", tmp_path / "clone")
    with pytest.raises(LineageError, match="3 more are not in DVC's cache") as e:
        trace.image(clone, "one")
    assert "dvc fetch" in str(e.value)
    theirs, ours = dvc_files.cache_folder(past.root), dvc_files.cache_folder(clone.root)

    def fetch(md5: str) -> None:
        target = dvc_files.object_path(ours, md5)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(dvc_files.object_path(theirs, md5), target)

    first = commits(past)[0]
    fetch(data_version.data_md5_at(past.root, first))
    found, unread = (answer := trace.image(clone, "one")).found[0], answer.unread
    assert [commit.revision for commit in unread] == commits(past)[:0:-1]
    assert (found.ranges[0].split, found.state) == ("", "unknown")
    assert {model.name for model in found.unknown} >= {f"{RECIPE} v2", f"{RECIPE} v3"}
    assert uses(found) == {f"{RECIPE} v1": ""}
    assert f"of {RECIPE} v2, {RECIPE} v3" in found.conclusion
    fetch(data_version.tree(past.root, first, DATASET)["splits.csv"])
    assert uses(trace.image(clone, "one").found[0]) == {f"{RECIPE} v1": "train"}


def test_the_index_grows_and_is_never_believed_alone(past: Workspace) -> None:
    before = only(past, "one")
    index = past.scratch / "trace.db"
    with sqlite3.connect(index) as db:
        db.execute("UPDATE listed SET split = 'test' WHERE image = 'one'")
        db.execute("UPDATE held SET md5 = ? WHERE image = 'two'", ("0" * 32,))
    assert only(past, "one") == before  # looked up, found wrong, made anew
    index.write_bytes(b"no database, " * 1000)
    assert only(past, "one") == before
    data = traced.data_of(past)
    data.remove("three")
    data.deliver("Ada", removed=1)
    found = only(past, "one")
    assert found.ranges[0].versions == 4
    assert only(past, "three").state == "removed"
    index.unlink()
    assert only(past, "one") == found


def test_it_only_reads(past: Workspace) -> None:
    def everything() -> dict[Path, str]:
        files = (p for p in past.root.rglob("*") if p.is_file() and p.parent != past.scratch)
        return {path: sha256_file(path) for path in files}

    before = everything()
    trace.image(past, "one")
    trace.data(past, "HEAD")
    trace.commit(past, "HEAD")
    assert everything() == before


def test_a_split_that_changed_is_told(past: Workspace) -> None:
    data = traced.data_of(past)
    data.edit("one", split="test")
    data.commit("By hand, what no ingestion does")
    assert [each.split for each in only(past, "one").ranges] == ["train", "test"]


def test_another_branch_counts_too(past: Workspace) -> None:
    root = past.root
    git.run(root, "checkout", "--quiet", "-b", "side")
    data = traced.data_of(past)
    data.put("five", *data_versions.cells(5))
    data.deliver("Eve", added=1)
    git.run(root, "checkout", "--quiet", "main")
    found = only(past, "five")
    assert found.state == "absent"
    assert found.ranges[0].versions == 1


def test_two_images_with_the_same_bytes_are_both_told(past: Workspace) -> None:
    content = (past.dataset(DATASET) / "images" / "one.png").read_bytes()
    data = traced.data_of(past)
    data.put("twin", *data_versions.cells(5))
    (past.dataset(DATASET) / "images" / "twin.png").write_bytes(content)
    data.edit("twin", sha256=sha256_bytes(content))
    data.deliver("Eve", added=1)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert [each.image for each in trace.image(past, md5).found] == ["one", "twin"]


def test_names_and_groups_that_tables_must_quote(past: Workspace) -> None:
    data = traced.data_of(past)
    data.put("zelle-ä", *data_versions.cells(5))
    data.put('a,"b"', *data_versions.cells(6))
    data.edit("one", group='plate "7",\nwell 3')
    data.deliver("Eve", added=2)
    data.remove('a,"b"')
    data.deliver("Eve", removed=1)
    assert only(past, "zelle-ä").ranges[0].versions == 2
    assert only(past, 'a,"b"').ranges[0].versions == 1
    found = only(past, "one")
    assert (found.group, found.ranges[0].versions) == ('plate "7",\nwell 3', 5)
    assert found.unconfirmed == []


def test_a_split_ledger_of_another_time_leaves_the_split_unknown(past: Workspace) -> None:
    data = traced.data_of(past)
    path = data.folder / "splits.csv"
    path.unlink()
    path.write_text("image,split\none,train\n")
    miniature.dvc(past.root, "add", "--quiet", "data")
    git.commit(past.root, ["data.dvc"], "Another time")
    data.commit("And back")
    data.deliver("Eve")
    found = only(past, "one")
    assert [(each.versions, each.split) for each in found.ranges] == [
        (3, "train"), (1, ""), (2, "train"),
    ]  # fmt: skip


def test_where_nothing_can_be_written_it_answers_all_the_same(past: Workspace) -> None:
    before = only(past, "one")
    shutil.rmtree(past.scratch)
    past.scratch.write_text("no folder")
    assert only(past, "one") == before
