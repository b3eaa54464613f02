"""Data versions against what a real DVC records."""

from __future__ import annotations

import shutil
from pathlib import Path

import miniature
import pytest
import yaml

from lineage import data_version, dvc_files
from segtrail import git
from segtrail.errors import LineageError
from segtrail.files import root_digest, tree_digests


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dvc")
    git.run(root, "init", "--quiet")
    miniature.dvc(root, "init", "--quiet")
    for name, text in {
        "cells/images/a.png": "a",
        "cells/images/zellkörper 1.png": "b",
        "cells/images/A.png": "c",
        "cells/images.csv": "d",
        "cells/masks/a.png": "a",
        "cells-2/images/a.png": "other",
        "other/x": "x",
    }.items():
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    miniature.dvc(root, "add", "--quiet", "data")
    outputs = ["cp data/cells/images.csv out", "cp data/other/x out2"]
    stage = {"cmd": outputs, "deps": ["data/cells"], "outs": ["out", {"out2": {"cache": False}}]}
    stages = {"examples": {"foreach": ["demo"], "do": stage}}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    miniature.dvc(root, "repro", "--quiet")
    git.run(root, "add", "--all")
    git.run(root, "commit", "--quiet", "-m", "data")
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "root", symlinks=True))


def test_the_md5_is_the_one_that_dvc_records_of_a_dependency(root: Path) -> None:
    lock = dvc_files.lock_at(root, "HEAD", "demo")
    recorded = lock.dependency("examples", "data/cells")
    version = data_version.at_commit(root, "HEAD", "cells")
    assert version.dvc_md5 == recorded
    assert lock.dependents("data/cells") == {"examples": recorded}
    assert version.data_md5 == yaml.safe_load((root / "data.dvc").read_text())["outs"][0]["md5"]


def test_the_root_is_that_of_the_delivered_files(root: Path) -> None:
    version = data_version.at_commit(root, "HEAD", "cells")
    assert version.sha256_root == root_digest(tree_digests(root / "data" / "cells"))
    assert set(version.files) == set(tree_digests(root / "data" / "cells"))


def test_a_folder_has_the_version_that_the_commit_gives_it(root: Path) -> None:
    stored = data_version.at_commit(root, "HEAD", "cells")
    folder = data_version.of_folder(root / "data" / "cells")
    assert folder.dvc_md5 == stored.dvc_md5
    assert folder.sha256_root == stored.sha256_root
    assert dict(folder.files) == dict(stored.files)


def test_an_old_commit_keeps_its_version_when_the_data_changes(root: Path) -> None:
    before, first = data_version.at_commit(root, "HEAD", "cells"), git.head(root)
    path = root / "data" / "cells" / "images" / "a.png"
    path.unlink()
    path.write_text("changed")
    assert data_version.at_commit(root, "HEAD", "cells") == before
    miniature.dvc(root, "add", "--quiet", "data")
    git.commit(root, ["data.dvc"], "change")
    after = data_version.at_commit(root, "HEAD", "cells")
    assert data_version.at_commit(root, first, "cells") == before
    assert after.dvc_md5 != before.dvc_md5
    assert after.sha256_root != before.sha256_root
    other = [data_version.at_commit(root, commit, "other") for commit in (first, "HEAD")]
    assert other[0].dvc_md5 == other[1].dvc_md5


def test_a_changed_or_missing_byte_in_the_cache_is_found(root: Path) -> None:
    files = data_version.tree(root, "HEAD", "cells")
    cache = dvc_files.cache_folder(root)
    miniature.flip(dvc_files.object_path(cache, files["images/A.png"]))
    dvc_files.object_path(cache, files["images.csv"]).unlink()
    found = data_version.verify_bytes(root, files)
    assert len(found.problems) == 2
    assert "images/A.png: " in "".join(found.problems)
    assert f"images.csv: {files['images.csv']} is not in DVC's cache" in "".join(found.problems)
    assert set(found.sha256) == set(files) - {"images/A.png", "images.csv"}
    with pytest.raises(LineageError, match="data/cells"):
        data_version.at_commit(root, "HEAD", "cells")


def test_the_cache_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    before = data_version.at_commit(root, "HEAD", "cells")
    (root / ".dvc" / "cache").rename(tmp_path / "cache")
    with pytest.raises(LineageError, match="not in DVC's cache"):
        data_version.at_commit(root, "HEAD", "cells")
    miniature.dvc(root, "cache", "dir", "--local", str(tmp_path / "cache"))
    assert data_version.at_commit(root, "HEAD", "cells") == before


def test_outputs_are_read_from_the_cache_or_from_git(root: Path) -> None:
    lock, cache = dvc_files.lock_at(root, "HEAD", "demo"), dvc_files.cache_folder(root)
    for name in ("out", "out2"):
        (root / name).unlink()
    assert dvc_files.output_at(root, "HEAD", lock, cache, "out") == b"d"
    assert dvc_files.output_at(root, "HEAD", lock, cache, "out2") == b"x"
    with pytest.raises(LineageError, match="no stage of 'demo' has the output out3"):
        dvc_files.output_at(root, "HEAD", lock, cache, "out3")


@pytest.mark.parametrize("md5", ["../../../etc/passwd", "", "a" * 31, "A" * 32, "a" * 32 + ".txt"])
def test_what_is_not_an_md5_is_not_a_path(tmp_path: Path, md5: str) -> None:
    with pytest.raises(LineageError, match="not an md5"):
        dvc_files.object_path(tmp_path, md5)


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="has no data/nothing"):
        data_version.tree(root, "HEAD", "nothing")
    git.run(root, "rm", "--quiet", "--cached", "data.dvc", "dvc.lock")
    git.run(root, "commit", "--quiet", "-m", "away")
    with pytest.raises(LineageError, match=r"data\.dvc is not in commit"):
        data_version.tree(root, "HEAD", "cells")
    with pytest.raises(LineageError, match=r"dvc\.lock is not in commit"):
        dvc_files.lock_at(root, "HEAD", "demo")
    with pytest.raises(LineageError, match="DVC says"):
        dvc_files.cache_folder(tmp_path)
