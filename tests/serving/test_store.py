"""The model store: a version is there whole, unchanged and durable, or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving
from segtrail.errors import LineageError
from segtrail.files import tree_digests
from segtrail.saved_model import digest
from serving import store

PROOF = "assets.extra/segtrail/provenance.json"
paths = st.lists(st.sampled_from(["variables", "assets", "a", "b.index"]), min_size=1, max_size=3)
trees = st.dictionaries(paths.map("/".join), st.binary(max_size=64), max_size=5)


def model(folder: Path, content: bytes = b"graph") -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "assets").mkdir()
    (folder / "saved_model.pb").write_bytes(content)
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def made_of(folder: Path, tree: dict[str, bytes]) -> Path:
    """Writes the files that do not need a file as their folder."""
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    for name, data in tree.items():
        path = folder / name
        if not path.exists() and all(p.is_dir() or not p.exists() for p in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder


@settings(max_examples=25, deadline=None)
@given(tree=trees, proof=st.binary(max_size=64), version=st.integers(1, 10**12))
def test_every_file_arrives(tmp_path_factory, tree, proof, version):
    folder = tmp_path_factory.mktemp("store")
    source = made_of(folder / "source", tree)
    placed = store.place(source, folder / "models", "nuclei", version, {PROOF: proof})
    assert placed == folder / "models" / "nuclei" / str(version)
    assert digest(placed) == digest(source)
    assert (placed / PROOF).read_bytes() == proof
    found = tree_digests(placed)
    found.pop(PROOF)
    assert found == tree_digests(source)
    assert store.versions(folder / "models", "nuclei") == [version]
    assert [p.name for p in (folder / "models").iterdir()] == ["nuclei"]


def test_stored_files_are_read_only_copies_and_empty_folders_stay(tmp_path):
    source = model(tmp_path / "source")
    placed = store.place(source, tmp_path / "models", "nuclei", 1, {PROOF: b"{}"})
    files = [p for p in placed.rglob("*") if p.is_file()]
    assert len(files) == 3
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
        assert path.stat().st_nlink == 1
    assert (placed / "assets").is_dir()
    (source / "saved_model.pb").write_bytes(b"changed")
    assert (placed / "saved_model.pb").read_bytes() == b"graph"


def test_the_same_model_again_changes_nothing(tmp_path):
    source = model(tmp_path / "source")
    first = store.place(source, tmp_path / "models", "nuclei", 1, {PROOF: b"first"})
    again = store.place(source, tmp_path / "models", "nuclei", 1, {PROOF: b"second"})
    assert again == first
    assert (first / PROOF).read_bytes() == b"first"


def test_another_model_under_the_same_version_is_refused(tmp_path):
    placed = store.place(model(tmp_path / "a"), tmp_path / "models", "nuclei", 1, {})
    with pytest.raises(LineageError, match="holds another model"):
        store.place(model(tmp_path / "b", b"other"), tmp_path / "models", "nuclei", 1, {})
    assert (placed / "saved_model.pb").read_bytes() == b"graph"


def test_a_stored_version_that_was_damaged_is_refused(tmp_path):
    source = model(tmp_path / "a")
    placed = store.place(source, tmp_path / "models", "nuclei", 1, {})
    (placed / "added").write_bytes(b"")
    with pytest.raises(LineageError, match="holds another model"):
        store.place(source, tmp_path / "models", "nuclei", 1, {})


def test_what_is_no_plain_saved_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LineageError, match=r"no saved_model\.pb"):
        store.place(tmp_path / "empty", tmp_path / "models", "nuclei", 1, {})
    linked = model(tmp_path / "linked")
    (linked / "link").symlink_to("/etc/hostname")
    with pytest.raises(LineageError, match="symbolic link"):
        store.place(linked, tmp_path / "models", "nuclei", 1, {})
    assert store.versions(tmp_path / "models", "nuclei") == []


@pytest.mark.parametrize("name", ["saved_model.pb", f"{PROOF}/../../../x", "/etc/x", "x/../y"])
def test_extra_files_cannot_touch_the_model(tmp_path, name):
    with pytest.raises(ValueError, match=r"below assets\.extra/segtrail/"):
        store.place(model(tmp_path / "a"), tmp_path / "models", "nuclei", 1, {name: b""})


def test_versions_are_numbers_and_ascending(tmp_path):
    for name in ("10", "9", "2", "0", "007", "-1", "x", ".tmp", "٣"):
        (tmp_path / "nuclei" / name).mkdir(parents=True)
    (tmp_path / "nuclei" / "3").write_bytes(b"a file")
    assert store.versions(tmp_path, "nuclei") == [2, 9, 10]
    assert store.versions(tmp_path, "unknown") == []


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    source = model(tmp_path / "a")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        store.place(source, tmp_path / "models", "nuclei", 1, {})
    assert list((tmp_path / "models").iterdir()) == []


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path, monkeypatch):
    source, copy = model(tmp_path / "a"), shutil.copyfile

    def meddle(path, to):
        copy(path, to)
        if Path(path).name == "saved_model.pb":
            Path(to).write_bytes(b"other")

    monkeypatch.setattr(shutil, "copyfile", meddle)
    with pytest.raises(LineageError, match="changed while it was copied"):
        store.place(source, tmp_path / "models", "nuclei", 1, {})
    assert list((tmp_path / "models").iterdir()) == []


def test_a_killed_copy_is_invisible_and_swept_but_a_running_one_is_not(tmp_path):
    source, models = model(tmp_path / "a"), tmp_path / "models"
    program = (
        "import sys, time; from pathlib import Path; from serving import store\n"
        "def stuck(*_):\n    print('copying', flush=True); time.sleep(60)\n"
        "store.shutil.copyfile = stuck\n"
        "store.place(Path(sys.argv[1]), Path(sys.argv[2]), 'nuclei', 1, {})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(source), str(models)],
        cwd=Path(serving.__file__).parents[1],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"copying\n"
        assert store.versions(models, "nuclei") == []
        assert store.sweep(models) == []
        assert len(list(models.iterdir())) == 1
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert store.versions(models, "nuclei") == []
    assert len(store.sweep(models)) == 1
    assert list(models.iterdir()) == []
    assert store.place(source, models, "nuclei", 1, {}).is_dir()


def test_sweeping_a_store_that_is_not_there_is_nothing(tmp_path):
    assert store.sweep(tmp_path / "none") == []
