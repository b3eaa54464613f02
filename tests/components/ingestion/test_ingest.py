"""What a delivery does to the workspace."""

from __future__ import annotations

import csv
import fcntl
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from cli import main
from components.erase import erase
from components.ingest import ingest
from components.ingestion import versioning
from components.ingestion.adapters.dsb2018 import Dsb2018
from components.leaks import find_leaks
from lineage.dvc_files import EMPTY_FOLDER
from segtrail import git, split_ledger
from segtrail.errors import ConfigError, DataError, UnreachableError, WorkspaceError
from segtrail.files import read_json, root_digest, sha256_file, tree_digests
from segtrail.images import read_labels
from segtrail.lock import flow_lock
from segtrail.workspace import Workspace

EMPTY_POINTER = (
    "outs:\n- md5: d751713988987e9331980363e24189ce.dir\n"
    "  size: 0\n  nfiles: 0\n  hash: md5\n  path: data\n"
)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def rows(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def test_a_zip_lands_whole_and_is_recorded(lab, capsys):
    folder = lab.delivery("first", "abcdefghij")
    archive = lab.zipped(folder, within="kaggle/stage1_train/")
    before = git.head(lab.root)
    delivery = lab.ingest(archive, by="Ada")

    assert delivery.added == tuple("abcdefghij")
    assert not delivery.unchanged
    assert delivery.images == 10
    data = lab.root / "data/nuclei"
    for image in delivery.added:
        assert (data / f"images/{image}.png").read_bytes() == (
            folder / image / "images" / f"{image}.png"
        ).read_bytes()
        labels = read_labels((data / f"masks/{image}.png").read_bytes(), image)
        assert labels.dtype == np.uint16
        assert np.unique(labels).tolist() == [0, 1, 2]
        assert (labels[5, 5], labels[15, 20]) == (1, 2)  # in the order of the mask files
    ledger = rows(data / "splits.csv")
    assert [row["image"] for row in ledger] == list("abcdefghij")
    assert all(row["sha256"] == sha256_file(data / f"images/{row['image']}.png") for row in ledger)
    assert all(
        row["mask_sha256"] == sha256_file(data / f"masks/{row['image']}.png") for row in ledger
    )
    assert {row["split"] for row in ledger} == {"train", "validation", "test"}
    assert rows(data / "deliveries.csv") == [
        {
            "delivery": "1", "source": "first.zip", "source_sha256": sha256_file(archive),
            "by": "Ada", "licence": "CC0-1.0", "added": "10", "replaced": "0", "removed": "0",
        }
    ]  # fmt: skip
    assert git.head(lab.root) == delivery.commit
    assert git.run(lab.root, "rev-parse", "HEAD~1") == before
    assert git.run(lab.root, "show", "--name-only", "--format=", "HEAD") == "data.dvc"
    message = git.run(lab.root, "log", "-1", "--format=%B")
    for part in ("nuclei", "10 added", sha256_file(archive)[:12], "Ada", "CC0-1.0"):
        assert part in message
    assert git.run(lab.root, "status", "--porcelain") == ""
    assert lab.dvc("status", "--json", "data.dvc") == "{}"
    assert capsys.readouterr().out.count("committed ") == 1


def test_the_same_delivery_again_changes_nothing(landed, capsys):
    before = landed.snapshot()
    folder = landed.delivery("first")
    for source in (folder, landed.zipped(landed.delivery("only-two", "bc"))):
        delivery = landed.ingest(source)
        assert delivery.unchanged
        assert delivery.commit is None
        assert "nothing changes" in capsys.readouterr().out
        assert landed.snapshot() == before


def test_a_later_delivery_adds_replaces_keeps_splits_and_commits_data_dvc_alone(landed):
    was, files = landed.splits(), tree_digests(landed.root / "data")
    second = landed.delivery("second", "efgh")
    landed.delivery("second", "b", salt=1)
    (landed.root / "notes.txt").write_text("mine")
    git.run(landed.root, "add", "notes.txt")
    delivery = landed.ingest(second, replace=True)
    assert git.run(landed.root, "show", "--name-only", "--format=", "HEAD") == "data.dvc"
    assert git.run(landed.root, "status", "--porcelain") == "A  notes.txt"
    assert (delivery.added, delivery.replaced) == (("e", "f", "g", "h"), ("b",))
    now = landed.splits()
    assert {image: now[image] for image in was} == was
    new = tree_digests(landed.root / "data")
    assert {name for name in files if new[name] != files[name]} == {
        "nuclei/images/b.png", "nuclei/splits.csv", "nuclei/deliveries.csv",
        "nuclei/fingerprints.csv",
    }  # fmt: skip
    deliveries = rows(landed.root / "data/nuclei/deliveries.csv")
    assert [(r["delivery"], r["added"], r["replaced"]) for r in deliveries] == [
        ("1", "4", "0"), ("2", "4", "1"),
    ]  # fmt: skip


def test_other_content_for_an_image_is_shown_and_refused_without_replace(landed):
    before = landed.snapshot()
    second = landed.delivery("second", "e")
    landed.delivery("second", "b", salt=1)
    with pytest.raises(DataError, match=r"b: is in the dataset with other content") as caught:
        landed.ingest(second)
    assert "--replace" in str(caught.value)
    assert landed.snapshot() == before


def test_removed_images_go_but_keep_their_place_in_the_ledger(landed, capsys):
    was = landed.splits()
    first = landed.bench / "first"
    delivery = landed.ingest(remove=["b", "c"])
    assert (delivery.removed, delivery.images) == (("b", "c"), 2)
    names = sorted(path.name for path in (landed.root / "data/nuclei/images").iterdir())
    assert names == ["a.png", "d.png"]
    assert landed.splits() == was
    ledger = split_ledger.read(landed.root / "data/nuclei/splits.csv")
    assert [ledger[image].removed for image in "abcd"] == ["", "2", "2", ""]
    assert "2 removed" in git.run(landed.root, "log", "-1", "--format=%s")
    # the old archive does not bring them back by itself
    landed.delivery("first")
    assert landed.ingest(first).unchanged
    assert "left out, removed from nuclei before: b, c" in capsys.readouterr().out
    back = landed.ingest(first, replace=True)
    assert (back.added, back.images) == (("b", "c"), 4)
    assert landed.splits() == was


def test_an_erased_image_never_comes_back_under_any_name(landed, capsys):
    first = landed.bench / "first"
    landed.delivery("first", "abcd")
    (first / "b").rename(first / "z")
    (first / "z/images/b.png").rename(first / "z/images/z.png")
    erase(landed.workspace, "nuclei", ["b"], reason="consent withdrawn")
    again = landed.ingest(landed.delivery("first", "b"), replace=True, on_bad="quarantine")
    assert again.unchanged
    assert "2 images left out, erased from nuclei before: b, z" in capsys.readouterr().out
    assert not (landed.root / "quarantine").exists()
    graves = (landed.root / "data/nuclei/tombstones.csv").read_bytes()
    landed.ingest(landed.delivery("second", "e"))
    assert (landed.root / "data/nuclei/tombstones.csv").read_bytes() == graves


def test_no_other_image_gets_the_id_of_an_erased_one(landed, capsys):
    """It might be the same image, re-encoded."""
    erase(landed.workspace, "nuclei", ["b"], reason="consent withdrawn")
    darker = landed.delivery("second", "b", salt=1)
    for options in ({}, {"replace": True}, {"on_bad": "quarantine"}):
        assert landed.ingest(darker, **options).unchanged
        assert "1 image left out, erased from nuclei before: b" in capsys.readouterr().out


def test_an_erased_image_is_not_kept_in_quarantine_either(landed):
    """Neither one whose mask is bad, nor one that has none."""
    erase(landed.workspace, "nuclei", ["a"], reason="consent withdrawn")
    second = landed.delivery("second", "e")
    image = (landed.delivery("first", "a") / "a/images/a.png").read_bytes()
    for name in ("y", "z"):
        (second / name / "images").mkdir(parents=True)
        (second / name / "images" / f"{name}.png").write_bytes(image)
    landed.write(second / "z/masks/m.png", np.zeros((24, 32), np.uint8))
    done = landed.ingest(second, on_bad="quarantine")
    assert (done.added, done.quarantined) == (("e",), ("y",))
    found = [p for p in landed.root.rglob("*") if p.is_file() and p.read_bytes() == image]
    assert not found


def test_what_was_quarantined_for_an_erased_image_goes(lab):
    folder = lab.delivery("first", "abcdef")
    mask = folder / "c/masks/m0.png"
    whole = mask.read_bytes()
    for path in (mask, folder / "d/masks/m0.png"):
        lab.write(path, np.zeros((24, 32), np.uint8))
    lab.ingest(folder, on_bad="quarantine")
    mask.write_bytes(whole)
    lab.ingest(folder, on_bad="quarantine")
    erase(lab.workspace, "nuclei", ["c"], reason="consent withdrawn")
    left = {p.parent.parent.name for p in (lab.root / "quarantine").rglob("*.png")}
    assert left == {"d"}


def test_an_erasure_names_every_delivery_that_brought_the_image(landed):
    landed.ingest(landed.delivery("second", "a", salt=1), replace=True)
    done = erase(landed.workspace, "nuclei", ["a"], reason="consent withdrawn")
    (said,) = [line for line in done.remains if line.startswith("what was delivered")]
    assert "first (sha256 " in said
    assert "second (sha256 " in said


def test_all_may_go_where_others_come(landed):
    done = landed.ingest(landed.delivery("second", "efgh"), remove=list("abcda"))
    assert (done.images, len(done.added), done.removed) == (4, 4, tuple("abcd"))
    assert {p.stem for p in (landed.root / "data/nuclei/images").iterdir()} == set("efgh")


def test_a_delivery_is_looked_at_again_when_the_settings_have_changed(lab):
    folder = lab.delivery("first", "abcdef")
    pixels = np.zeros((1100, 1000), np.uint8)
    pixels[2:9, 3:12] = 255
    lab.write(folder / "g/images/g.png", pixels)
    lab.write(folder / "g/masks/m.png", pixels)
    params = lab.root / "params.yaml"
    whole = params.read_text()
    params.write_text(whole.replace("slices: {}", "slices: {}\n    limits: {megapixels: 1}"))
    assert lab.ingest(folder, on_bad="quarantine").quarantined == ("g",)
    params.write_text(whole)
    assert lab.ingest(folder).added == ("g",)
    assert not any((lab.root / "quarantine/nuclei").iterdir())


class Anywhere(Dsb2018):
    """An adapter of somebody's own that gives two images one id."""

    name = "anywhere"

    def find(self, source, problems):
        return [replace(item, id=item.id[0]) for item in super().find(source, problems)]


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (["x1", "x2", "y"], "x2/images/x2.png: its id x is that of x1/images/x1.png too"),
        (["x", "X", "y"], "x/images/x.png: its id x differs from X in upper and lower case only"),
    ],
)
def test_two_images_never_land_as_one_whatever_the_adapter(lab, monkeypatch, images, says):
    monkeypatch.setattr("components.ingest.adapter_for", Anywhere)
    before = lab.snapshot()
    with pytest.raises(DataError, match=re.escape(says)):
        lab.ingest(lab.delivery("first", images))
    assert lab.snapshot() == before


def test_removing_what_is_not_there_or_everything_is_refused(landed):
    before = landed.snapshot()
    with pytest.raises(DataError, match="no image 'x' to remove"):
        landed.ingest(remove=["a", "x"])
    with pytest.raises(DataError, match="would leave none"):
        landed.ingest(remove=list("abcd"))
    assert landed.snapshot() == before


def test_to_remove_what_was_removed_before_does_nothing(landed, capsys):
    landed.ingest(remove=["b"])
    before = landed.snapshot()
    assert landed.ingest(remove=["b"]).unchanged
    assert "b was removed by delivery 2 already" in capsys.readouterr().out
    assert landed.snapshot() == before
    assert landed.ingest(remove=["b", "c"]).removed == ("c",)


class TestGroupsThatAreNamedLater:
    @pytest.fixture
    def study(self, lab):
        """Twelve class masks of unlike images, two of each of six patients, who are not named."""
        edit(lab.root / "params.yaml", "adapter: dsb2018", "adapter: folders")
        folder = lab.bench / "study"
        for n in range(12):
            pixels = np.random.default_rng(n).integers(0, 255, (24, 32)).astype(np.uint8)
            mask = np.zeros((24, 32), np.uint16)
            mask[4:9, 4:9] = 1
            lab.write(folder / f"images/p{n // 2}-{n % 2}.png", pixels)
            lab.write(folder / f"masks/p{n // 2}-{n % 2}.png", mask)
        lab.ingest(folder)
        return folder

    @staticmethod
    def name_patients(folder):
        images = sorted(path.stem for path in (folder / "images").iterdir())
        lines = ["image,group", *(f"{image},{image[:2]}" for image in images)]
        (folder / "images.csv").write_text("\n".join(lines) + "\n")

    def test_the_ledger_takes_them_and_what_is_torn_is_told(self, lab, study, capsys):
        before = lab.splits()
        torn = sum(before[f"p{n}-0"] != before[f"p{n}-1"] for n in range(6))
        assert torn, "the seed of the splits tears no patient: the test shows nothing"
        self.name_patients(study)
        capsys.readouterr()
        done = lab.ingest(study)
        assert len(done.regrouped) == 12
        assert lab.splits() == before
        ledger = split_ledger.read(lab.root / "data/nuclei/splits.csv")
        assert {row.group for row in ledger.values()} == {f"p{n}" for n in range(6)}
        assert f"warning: {torn} pair" in capsys.readouterr().out
        assert len(find_leaks(lab.workspace, "nuclei").leaks) == torn
        assert "12 regrouped" in git.run(lab.root, "log", "-1", "--format=%s")
        assert lab.ingest(study).unchanged

    def test_a_new_image_follows_its_patient(self, lab, study):
        before = lab.splits()
        whole = next(n for n in range(6) if before[f"p{n}-0"] == before[f"p{n}-1"] != "train")
        for n in range(2, 8):
            pixels = np.random.default_rng([n, 1]).integers(0, 255, (24, 32)).astype(np.uint8)
            lab.write(study / f"images/p{whole}-{n}.png", pixels)
            shutil.copy(study / "masks/p0-0.png", study / f"masks/p{whole}-{n}.png")
        self.name_patients(study)
        lab.ingest(study)
        now = lab.splits()
        assert {now[f"p{whole}-{n}"] for n in range(8)} == {before[f"p{whole}-0"]}


def test_who_and_under_which_licence_is_said_and_what_is_not_committed(lab, capsys):
    lab.ingest(lab.delivery("first", "ab"), by="Ada")
    out = capsys.readouterr().out
    assert "delivered by Ada under CC0-1.0 (--by, --licence say otherwise)" in out
    assert "not committed" not in out
    edit(lab.root / "params.yaml", "seed: 1", "seed: 2")
    lab.ingest(lab.delivery("second", "cd"))
    assert "note: params.yaml is not committed" in capsys.readouterr().out


def test_the_masks_that_are_there_keep_their_meaning(landed):
    meaning = {"masks": "instances", "classes": ["nucleus"]}
    assert read_json(landed.root / "data/nuclei/dataset.json") == meaning
    edit(landed.root / "params.yaml", "classes: [nucleus]", "classes: [cell]")
    before = landed.snapshot()
    with pytest.raises(ConfigError, match="the masks that are there are instances of nucleus"):
        landed.ingest(landed.delivery("second", "e"))
    assert landed.snapshot() == before


def test_good_images_land_and_bad_ones_are_quarantined_with_the_reasons(lab, capsys):
    folder = lab.delivery("mixed", "abcdef")
    (folder / "c/images/c.png").write_bytes(b"no image")
    lab.write(folder / "e/masks/m0.png", np.full((24, 32), 7, np.uint8))
    with pytest.raises(DataError, match="2 problems"):
        lab.ingest(folder)
    assert not (lab.root / "data").exists()
    delivery = lab.ingest(folder, on_bad="quarantine")
    assert (delivery.added, delivery.quarantined) == (tuple("abdf"), ("c", "e"))
    (kept,) = (lab.root / "quarantine/nuclei").iterdir()
    assert (kept / "files/c/images/c.png").read_bytes() == b"no image"
    assert (kept / "files/e/masks/m1.png").is_file()
    report = read_json(kept / "report.json")
    assert [entry["image"] for entry in report["images"]] == ["c", "e"]
    assert "found 7" in report["images"][1]["problems"][0]["says"]
    assert "found 7" in (kept / "report.md").read_text()
    assert "2 images quarantined" in capsys.readouterr().out
    # mended, they land, and nothing is left in quarantine
    shutil.rmtree(folder)
    assert lab.ingest(lab.delivery("mixed", "abcdef")).added == ("c", "e")


def test_what_is_wrong_with_the_whole_delivery_is_never_quarantined(lab):
    folder = lab.delivery("mixed", "ab")
    (folder / "stray.png").write_bytes((folder / "a/images/a.png").read_bytes())
    before = lab.snapshot()
    with pytest.raises(DataError, match=r"stray\.png: not in its place"):
        lab.ingest(folder, on_bad="quarantine")
    assert lab.snapshot() == before


def test_an_id_that_differs_in_case_from_one_that_is_there_is_refused(landed):
    with pytest.raises(DataError, match="its id A differs from a"):
        landed.ingest(landed.delivery("second", "A"))


@pytest.mark.slow
def test_files_shared_with_the_dvc_cache_are_never_written_through(landed):
    landed.dvc("config", "cache.type", "hardlink")
    landed.dvc("checkout", "--relink", "data.dvc")
    git.commit(landed.root, [".dvc/config"], "Link")
    assert (landed.root / "data/nuclei/images/a.png").stat().st_nlink == 2
    cache = tree_digests(landed.root / ".dvc/cache/files")
    landed.ingest(landed.delivery("second", "ab", salt=1), replace=True)
    after = tree_digests(landed.root / ".dvc/cache/files")
    assert {name: after[name] for name in cache} == cache
    assert landed.dvc("status", "--json", "data.dvc") == "{}"


@pytest.mark.slow
def test_synthetic_gives_the_same_data_version_whoever_runs_it(lab, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    delivery = lab.ingest("synthetic")
    assert delivery.images == 72
    assert rows(lab.root / "data/nuclei/deliveries.csv")[0]["by"] == "segtrail"
    assert delivery.source_sha256.startswith("79cda27bbc31")
    assert (
        root_digest(tree_digests(lab.root / "data/nuclei"))
        == "02154abd93afdabfe470b99dce8f6001be2a69d3dd16e9b2d1e7466552419e48"
    )
    assert [p.name for p in (lab.root / ".segtrail/ingest").iterdir()] == ["lock"]


def test_a_fresh_clone_is_restored_from_the_cache_before_it_grows(landed):
    was = tree_digests(landed.root / "data")
    shutil.rmtree(landed.root / "data")
    delivery = landed.ingest(landed.delivery("second", "e"))
    assert delivery.images == 5
    now = tree_digests(landed.root / "data")
    assert all(now[name] == was[name] for name in was if not name.endswith(".csv"))


@pytest.mark.slow
def test_a_fresh_clone_without_cache_pulls_or_says_what_to_do(landed, tmp_path):
    landed.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    landed.dvc("push", "--quiet")
    git.commit(landed.root, [".dvc/config"], "Remote")
    clone = tmp_path / "clone"
    git.run(tmp_path, "clone", "--quiet", str(landed.root), str(clone))
    source = landed.delivery("second", "e")
    os.rename(tmp_path / "store", tmp_path / "away")
    with pytest.raises(UnreachableError, match="the remote 'store' cannot be reached: no folder"):
        ingest(Workspace(clone, clone), "nuclei", source)
    (tmp_path / "store").mkdir()
    with pytest.raises(WorkspaceError, match="neither in DVC's cache nor in a remote") as caught:
        ingest(Workspace(clone, clone), "nuclei", source)
    assert "dvc pull" in (caught.value.hint or "")
    (tmp_path / "store").rmdir()
    os.rename(tmp_path / "away", tmp_path / "store")
    assert ingest(Workspace(clone, clone), "nuclei", source).images == 5


def test_the_pointer_to_an_empty_folder_is_nothing_to_restore(lab):
    (lab.root / "data.dvc").write_text(EMPTY_POINTER)
    git.commit(lab.root, ["data.dvc"], "No data yet")
    assert lab.ingest(lab.delivery("first")).images == 4


def test_the_empty_version_is_what_dvc_calls_it(lab):
    (lab.root / "data").mkdir()
    lab.dvc("add", "data")
    assert versioning.recorded_version(lab.workspace) == EMPTY_FOLDER


def test_data_changed_by_hand_is_refused(landed):
    (landed.root / "data/nuclei/images/a.png").unlink()
    before = landed.snapshot()
    with pytest.raises(WorkspaceError, match="changed by hand") as caught:
        landed.ingest(landed.delivery("second", "e"))
    assert "dvc checkout" in (caught.value.hint or "")
    assert landed.snapshot() == before


def test_data_that_was_never_recorded_is_refused(lab):
    (lab.root / "data").mkdir()
    (lab.root / "data/mine.png").write_bytes(b"precious")
    with pytest.raises(WorkspaceError, match="does not name"):
        lab.ingest(lab.delivery("first"))
    assert (lab.root / "data/mine.png").read_bytes() == b"precious"


def test_no_git_or_no_dvc_says_which_command_to_run(lab, tmp_path):
    source = lab.delivery("first")
    shutil.rmtree(lab.root / ".dvc")
    with pytest.raises(WorkspaceError, match="DVC is not set up") as caught:
        lab.ingest(source)
    assert "dvc init" in (caught.value.hint or "")
    shutil.rmtree(lab.root / ".git")
    with pytest.raises(WorkspaceError, match="not a git repository") as caught:
        lab.ingest(source)
    assert "git init" in (caught.value.hint or "")
    git.run(tmp_path, "init", "--quiet")
    with pytest.raises(WorkspaceError, match="in the folder workspace/ of a git repository"):
        lab.ingest(source)


@pytest.mark.parametrize("said", ["a\nLicence: mine", os.fsdecode(b"\xff"), "x" * 201, " "])
@pytest.mark.parametrize("option", ["by", "licence"])
def test_who_and_under_which_licence_are_one_line_each(lab, option, said):
    before = lab.snapshot()
    with pytest.raises(ConfigError, match=f"^{option}: expected one line"):
        lab.ingest(lab.delivery("first"), **{option: said})
    assert lab.snapshot() == before


def test_a_file_that_somebody_recorded_beside_the_images_stays(landed):
    notes = landed.root / "data/nuclei/NOTES.md"
    notes.write_text("stained on Monday")
    landed.dvc("add", "data")
    git.commit(landed.root, ["data.dvc"], "Notes")
    landed.ingest(landed.delivery("second", "e"))
    assert notes.read_text() == "stained on Monday"


def test_an_unknown_dataset_is_named_with_its_nearest(lab):
    with pytest.raises(ConfigError, match="Did you mean 'nuclei'"):
        ingest(lab.workspace, "nuclie", lab.delivery("first"))


def test_it_waits_for_a_flow_and_says_so(lab, capsys):
    source, done = lab.delivery("first", "a"), []
    thread = threading.Thread(target=lambda: done.append(lab.ingest(source)))
    with flow_lock(lab.workspace, print):
        thread.start()
        deadline, said = time.monotonic() + 20, ""
        while "waiting for another flow" not in said and time.monotonic() < deadline:
            said += capsys.readouterr().out
            time.sleep(0.1)
        assert "waiting for another flow or ingestion" in said
        assert not (lab.root / "data.dvc").exists()
        assert not done
    thread.join(60)
    assert done[0].images == 1


def test_a_flow_waits_for_an_ingestion(lab, monkeypatch):
    """The lock is held when data.dvc is written."""
    free: list[bool] = []
    record = versioning.record

    def watched(*args):
        with open(lab.root / ".segtrail/flow.lock") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(True)
            except BlockingIOError:
                free.append(False)
        return record(*args)

    monkeypatch.setattr(versioning, "record", watched)
    lab.ingest(lab.delivery("first", "a"))
    assert free == [False]


def test_the_working_directory_is_a_source_with_a_name(lab, monkeypatch):
    monkeypatch.chdir(lab.delivery("first", "a"))
    assert lab.ingest(".").source == "first"
    assert rows(lab.root / "data/nuclei/deliveries.csv")[0]["source"] == "first"


def test_the_command_tells_the_commit_once(lab, monkeypatch, capsys):
    monkeypatch.chdir(lab.root)
    source = str(lab.delivery("first", "a"))
    assert main._run(["ingest", source, "--dataset", "nuclei"]) == 0
    out = capsys.readouterr().out
    assert out.count(git.head(lab.root)[:9]) == 1
    assert "nuclei: 1 images (1 added, 0 replaced)\n" in out


def test_two_at_once_are_refused(lab):
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    lock = lab.root / ".segtrail/ingest/lock"
    lock.parent.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(lock)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError, match="another ingestion"):
            lab.ingest(lab.delivery("first"))
    finally:
        process.kill()
        process.wait()
    assert lab.ingest(lab.delivery("first")).images == 4
