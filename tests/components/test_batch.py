"""Batch inference on a promoted SavedModel: masks, tables, what is bad, and going on."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import cv2
import miniature
import numpy as np
import pandas as pd
import pytest
from miniature import RECIPE

from components.batch import batch
from components.batching.chunks import CHUNK
from components.batching.output import Output
from components.promote import promote
from lineage import ledger
from model.object_table import COLUMNS
from segtrail.errors import ConfigError, DataError, LineageError, StageError
from segtrail.files import read_json, sha256_bytes, sha256_file, tree_digests, write_text
from segtrail.images import decode_image, encode_png
from segtrail.lock import alone
from segtrail.saved_model import digest
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = 100, 120  # thresholds of v1 and of v2, which is the champion
SAME = ("cells.png", "cells.tif", "cells.bmp")  # but for what they end with


@pytest.fixture(scope="module")
def workspace(template: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose v1 and v2 are real SavedModels; v2 serves. Not to be changed."""
    folder = tmp_path_factory.mktemp("batch")
    made = miniature.copy(template, folder / "workspace")
    models = miniature.save_models(folder / "models", [OLD, NEW])
    with pytest.MonkeyPatch.context() as patch:
        miniature.put_server_on_path(folder / "bin", patch)
        for threshold in (OLD, NEW):
            miniature.retrain(made, threshold, saved_model=models[threshold])
            promote(made, RECIPE)
    return made


def pixels(seed: int, shape: tuple[int, ...] = (20, 30)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """More than a chunk of good images, of all formats and in sub-folders, and bad ones."""
    folder = tmp_path / "in"
    for number in range(CHUNK):
        path = folder / f"plate-{number % 3}" / f"well {number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(pixels(number, (10 + number, 25))))
    for number, name in enumerate(SAME):
        cv2.imwrite(str(folder / name), pixels(100 + number))
    cv2.imwrite(str(folder / "deep.tif"), pixels(200).astype(np.uint16) * 257)
    halves = np.repeat([[30, 220]], 16, axis=1).repeat(16, axis=0)  # in blocks of JPEG's: lossless
    cv2.imwrite(str(folder / "photo.JPG"), halves.astype(np.uint8))
    whole = (folder / "photo.JPG").read_bytes()
    (folder / "plate-1" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "plate-1" / "cut.png").write_bytes((folder / "cells.png").read_bytes()[:200])
    (folder / "empty.png").touch()
    cv2.imwritemulti(str(folder / "stack.tif"), [pixels(1)] * 2)
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_text("not looked at")
    return folder


BAD = {
    "dangling.png": "cannot be read: No such file",
    "empty.png": "the file is empty",
    "plate-1/cut.png": "cut short",
    "plate-1/half.jpg": "the model: ",
    "stack.tif": "a TIFF of 2 pages",
}
GOOD = CHUNK + len(SAME) + 2


def bad_of(out: Path) -> dict[str, str]:
    with (out / "bad.csv").open(newline="") as file:
        return {row["image"]: row["problem"] for row in csv.DictReader(file)}


def tables(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in Output(out).tables}


# --- what is written --------------------------------------------------------------------------


def test_masks_tables_and_where_they_come_from(workspace, source, tmp_path, capsys):
    out = tmp_path / "out"
    done = batch(workspace, RECIPE, source, out)
    assert (done.version, done.images, done.segmented, done.kept, done.bad) == (
        2, GOOD, GOOD, 0, len(BAD),
    )  # fmt: skip
    images = pd.read_parquet(out / "images.parquet").set_index("image", drop=False)
    assert list(images["image"]) == sorted(images["image"])
    assert {"plate-0/well 0.png", "photo.JPG", "deep.tif", *SAME} < set(images["image"])
    objects = pd.read_parquet(out / "objects.parquet").set_index("image")
    assert list(objects.columns) == ["class", *COLUMNS, "confidence"]
    for name, row in images.iterrows():
        content = (source / name).read_bytes()
        grey = decode_image(content, name)
        grey = (grey >> 8 if grey.dtype == np.uint16 else grey).astype(np.uint8)
        mask = decode_image((out / "masks" / f"{name}.mask.png").read_bytes(), name)
        np.testing.assert_array_equal(mask, grey > NEW)
        labels = decode_image((out / "masks" / f"{name}.labels.png").read_bytes(), name)
        assert labels.dtype == np.uint16
        np.testing.assert_array_equal(labels, mask)
        assert row["sha256"] == sha256_bytes(content)
        assert (row["height"], row["width"]) == grey.shape
        assert row["share_nucleus"] == pytest.approx(mask.mean())
        levels = np.clip(grey.astype(int) - NEW + 128, 0, 255)
        assert row["probability_nucleus"] == pytest.approx(levels.mean() / 255)
        mine = objects.loc[[name]]
        assert (row["count"], len(mine), row["version"]) == (1, 1, 2)
        (one,) = mine.to_dict("records")
        assert (one["class"], one["label"], one["area"]) == ("nucleus", 1, mask.sum())
        stored = decode_image(content, name)
        assert one["mean_intensity"] == pytest.approx(stored[mask > 0].mean())
        assert one["confidence"] == pytest.approx(levels[mask > 0].mean() / 255)
    found = bad_of(out)
    assert set(found) == set(BAD)
    for name, says in BAD.items():
        assert found[name].startswith(says)
        assert not (out / "masks" / f"{name}.mask.png").exists()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"demo v2: {GOOD + len(BAD)} images of {source}; one other file passed over"
    assert said[-1].endswith(f"0 kept, {len(BAD)} bad: see {out / 'bad.csv'}")


def test_the_provenance_names_model_ledger_run_and_code(workspace, source, tmp_path):
    out = tmp_path / "out"
    batch(workspace, RECIPE, source, out, version=1)
    about = read_json(out / "batch.json")
    stored = workspace.models / RECIPE / "1"
    (entry,) = [
        e for e in ledger.read(workspace.ledger(RECIPE)) if e.event == "done" and e.version == 1
    ]
    assert about["model_digest"] == digest(stored) == entry.model_digest
    assert (about["recipe"], about["version"], about["ledger_entry"]) == (RECIPE, 1, entry.seq)
    lines = workspace.ledger(RECIPE).read_bytes().splitlines()
    assert about["ledger_head"] == f"{len(lines)} {sha256_bytes(lines[-1])}"
    assert about["git_commit"] == entry.details["git_commit"]
    assert len(about["mlflow_run"]) == 32
    assert about["files"] == tables(out)
    assert set(about["code"]) == {"commit", "digest", "uncommitted"}
    assert about["counts"]["images"] == GOOD
    assert about["started"] <= about["ended"]
    assert (about["source"], about["runner"]) == (str(source), "FnApiRunner")
    assert set(pd.read_parquet(out / "images.parquet")["version"]) == {1}


def test_a_list_names_images_below_it_and_elsewhere(workspace, tmp_path):
    near, far = tmp_path / "lists" / "a" / "one.png", tmp_path / "far" / "two"
    for number, path in enumerate((near, far)):
        path.parent.mkdir(parents=True)
        path.write_bytes(encode_png(pixels(number)))
    listed = tmp_path / "lists" / "list.txt"
    write_text(listed, f"a/one.png\n\n{far}\na/../a/one.png\nnone.png\n")
    done = batch(workspace, RECIPE, listed, tmp_path / "out")
    names = ["a/one.png", str(far).lstrip("/")]
    assert list(pd.read_parquet(tmp_path / "out" / "images.parquet")["image"]) == names
    assert (done.images, bad_of(tmp_path / "out").keys()) == (2, {"none.png"})


def test_all_bad_is_a_result_with_empty_tables(workspace, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "no.png").write_text("no")
    done = batch(workspace, RECIPE, tmp_path / "in", tmp_path / "out")
    assert (done.images, done.objects, done.bad) == (0, 0, 1)
    images = pd.read_parquet(tmp_path / "out" / "images.parquet")
    assert len(images) == 0
    assert "share_nucleus" in images.columns


# --- once more --------------------------------------------------------------------------------


def test_only_what_is_new_changed_or_lost_is_done_again(workspace, source, tmp_path):
    out = tmp_path / "out"
    batch(workspace, RECIPE, source, out)
    before, files = tables(out), {p: p.stat().st_ino for p in (out / "masks").rglob("*.png")}
    again = batch(workspace, RECIPE, source, out)
    assert (again.segmented, again.kept, again.images) == (0, GOOD, GOOD)
    assert tables(out) == before
    assert {p: p.stat().st_ino for p in (out / "masks").rglob("*.png")} == files

    (source / "cells.png").write_bytes(encode_png(pixels(7, (5, 6))))
    (source / "empty.png").write_bytes(encode_png(pixels(8)))
    (source / "photo.JPG").write_text("no longer an image")
    (out / "masks" / "cells.tif.mask.png").unlink()
    miniature.flip(out / "masks" / "cells.bmp.labels.png")
    third = batch(workspace, RECIPE, source, out)
    assert (third.segmented, third.kept) == (4, GOOD - 4)
    images = pd.read_parquet(out / "images.parquet").set_index("image")
    assert (images.loc["cells.png", "height"], images.loc["cells.png", "width"]) == (5, 6)
    assert "empty.png" in images.index
    assert "photo.JPG" not in images.index
    assert set(bad_of(out)) == {*BAD, "photo.JPG"} - {"empty.png"}
    assert not (out / "masks" / "photo.JPG.mask.png").exists()
    objects = Counter(pd.read_parquet(out / "objects.parquet")["image"])
    assert objects == dict.fromkeys(images.index, 1)
    batch(workspace, RECIPE, source, tmp_path / "fresh")
    assert tree_digests(out / "masks") == tree_digests(tmp_path / "fresh" / "masks")
    assert tables(out) == tables(tmp_path / "fresh")


def test_a_table_that_somebody_changed_is_not_gone_on_with(workspace, source, tmp_path):
    out = tmp_path / "out"
    batch(workspace, RECIPE, source, out)
    before = tables(out)
    pd.DataFrame({"image": ["mine"]}).to_parquet(out / "objects.parquet")
    assert batch(workspace, RECIPE, source, out).kept == 0
    assert tables(out) == before


# Runs the command, and ends it, as the kernel would, before the rename whose target has the word
# for the n-th time.
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from components.batch import batch
    from segtrail.workspace import Workspace

    root, source, out, word, times = sys.argv[1:]
    replace, left = os.replace, [int(times)]

    def end(old, new):
        left[0] -= word in str(new)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(old, new)

    os.replace = end
    batch(Workspace(Path(root), Path(root)), "demo", Path(source), Path(out))
    """
)


def test_killed_anywhere_it_goes_on_and_ends_the_same(workspace, source, tmp_path):
    out = tmp_path / "out"
    known = 0
    for word, times in (
        (".mask.png", 12),
        (".images.parquet", 2),  # a part is there, the second is not
        ("out/objects.parquet", 1),  # the tables are made, one of two is in place
    ):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, workspace.root, source, out, word, str(times)],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert read_json(out / "batch.json")["ended"] is None
        for path in (out / "masks").rglob("*.png"):
            if not path.name.startswith("."):
                decode_image(path.read_bytes(), str(path))
        parts = Output(out).parts()
        rows = sum(pd.read_parquet(part.images)["problem"].isna().sum() for part in parts)
        assert rows >= known
        known = rows
    assert known == GOOD
    final = batch(workspace, RECIPE, source, out)
    assert (final.segmented, final.kept) == (0, GOOD)
    batch(workspace, RECIPE, source, tmp_path / "unbroken")
    assert tables(out) == tables(tmp_path / "unbroken")
    assert tree_digests(out / "masks") == tree_digests(tmp_path / "unbroken" / "masks")
    left = {path.relative_to(out).as_posix() for path in out.rglob(".*")}
    assert left == {".batch"}
    assert [path.name for path in (out / ".batch").iterdir()] == ["lock"]


# --- another model, other images --------------------------------------------------------------


def test_another_version_is_refused_unless_it_may_replace(workspace, source, tmp_path):
    out = tmp_path / "out"
    batch(workspace, RECIPE, source, out, version=1)
    before = tables(out)
    with pytest.raises(ConfigError, match=r"has results of demo v1 .*asked for demo v2") as caught:
        batch(workspace, RECIPE, source, out)
    assert "--overwrite" in (caught.value.hint or "")
    assert tables(out) == before
    done = batch(workspace, RECIPE, source, out, overwrite=True)
    assert (done.segmented, done.kept) == (GOOD, 0)
    assert set(pd.read_parquet(out / "images.parquet")["version"]) == {2}
    batch(workspace, RECIPE, source, tmp_path / "fresh")
    assert tables(out) == tables(tmp_path / "fresh")


def test_results_of_images_that_are_gone_are_not_lost_unasked(workspace, source, tmp_path):
    out = tmp_path / "out"
    batch(workspace, RECIPE, source, out)
    shutil.rmtree(source / "plate-0")
    with pytest.raises(
        ConfigError, match="has results of 11 images that IN does not have: plate-0/"
    ):
        batch(workspace, RECIPE, source, out)
    assert (out / "masks" / "plate-0").exists()
    done = batch(workspace, RECIPE, source, out, overwrite=True)
    assert (done.segmented, done.kept, done.images) == (0, GOOD - 11, GOOD - 11)
    assert not (out / "masks" / "plate-0").exists()


# --- other runners ----------------------------------------------------------------------------


@pytest.mark.slow
def test_several_processes_write_the_same(workspace, source, tmp_path):
    options = ["direct_running_mode=multi_processing", "direct_num_workers=2"]
    batch(workspace, RECIPE, source, tmp_path / "many", runner_options=options)
    batch(workspace, RECIPE, source, tmp_path / "one")
    assert tables(tmp_path / "many") == tables(tmp_path / "one")
    assert tree_digests(tmp_path / "many" / "masks") == tree_digests(tmp_path / "one" / "masks")


def test_a_runner_that_is_not_there_is_named_and_nothing_is_written(workspace, source, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'FlinkRunner'"):
        batch(workspace, RECIPE, source, tmp_path / "out", runner="FlinkRuner")
    assert not (tmp_path / "out").exists()


# --- what is refused --------------------------------------------------------------------------


def test_what_is_no_source_or_no_place_is_named(workspace, source, tmp_path):
    out, empty, other = tmp_path / "out", tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    for given, to, error, says in (
        (empty, out, DataError, f"no image in {empty}: PNG, JPEG, BMP or TIFF files are looked"),
        (other, out, DataError, "; there is one other file"),
        (tmp_path / "none", out, DataError, "cannot be read: No such file"),
        (source / "cells.png", out, ConfigError, "is an image; expected a folder of images"),
        (source, source, ConfigError, "is both IN and OUT"),
        (source, other, ConfigError, "it has something else in it"),
        (source, other / "thesis.txt", ConfigError, "expected a new or empty folder"),
    ):
        with pytest.raises(error) as caught:
            batch(workspace, RECIPE, given, to)
        assert says in caught.value.message
    assert not out.exists()
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


def test_results_inside_of_the_images_folder_are_not_images(workspace, source):
    for _ in range(2):
        assert batch(workspace, RECIPE, source, source / "results").images == GOOD


def test_a_version_that_is_not_there_or_not_as_promoted(workspace, source, tmp_path):
    with pytest.raises(ConfigError, match=r"--version 7: the store has v1, v2 of demo"):
        batch(workspace, RECIPE, source, tmp_path / "out", version=7)
    copy = miniature.copy(workspace, tmp_path / "workspace")
    miniature.flip(copy.models / RECIPE / "1" / "variables" / "threshold")
    with pytest.raises(LineageError, match="variables/threshold was changed") as caught:
        batch(copy, RECIPE, source, tmp_path / "out", version=1)
    assert caught.value.hint == "segtrail audit demo --version 1"
    assert not (tmp_path / "out").exists()


def test_without_a_promotion_it_says_how_to_get_one(template, source, tmp_path):
    with pytest.raises(StageError, match="nothing of demo serves") as caught:
        batch(template, RECIPE, source, tmp_path / "out")
    assert "segtrail retrain" in (caught.value.hint or "")


def test_two_at_once_do_not_write_into_one_folder(workspace, source, tmp_path):
    out = tmp_path / "out"
    with (
        alone(out / ".batch" / "lock", "busy"),
        pytest.raises(StageError, match="another segtrail"),
    ):
        batch(workspace, RECIPE, source, out)
