"""Atomic writes, digests, and the git verbs."""

import os
import subprocess
import threading

import pytest

from segtrail import git, git_objects
from segtrail.errors import WorkspaceError
from segtrail.files import (
    atomic_folder,
    atomic_path,
    root_digest,
    tree_digests,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    folder = tmp_path / "out"
    with atomic_folder(folder) as made:
        write_text(made / "x", "old")
    with pytest.raises(RuntimeError), atomic_folder(folder) as made:
        write_text(made / "x", "half")
        raise RuntimeError
    assert (folder / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_numbers_that_are_not_json_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert os.listdir(tmp_path) == []


def test_the_root_digest_is_what_sha256sum_gives(tmp_path):
    for name in ("b", "a/c", "ä"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    command = (
        "find . -type f | sed 's#^./##' | LC_ALL=C sort | tr '\\n' '\\0' "
        "| xargs -0 sha256sum | sha256sum"
    )
    expected = subprocess.check_output(command, shell=True, cwd=tmp_path, text=True).split()[0]
    assert root_digest(tree_digests(tmp_path)) == expected


def test_a_link_is_not_hashed(tmp_path):
    (tmp_path / "a").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="symbolic"):
        tree_digests(tmp_path)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    git.run(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a").write_text("1")
    git.commit(tmp_path, ["a"], "first")
    return tmp_path


def test_a_missing_identity_falls_back_to_segtrail(repository):
    said = git.run(repository, "log", "-1", "--format=%an <%ae>")
    assert said == "segtrail <segtrail@localhost>" == git.identity(repository)


def test_a_commit_takes_its_paths_alone_whatever_else_is_staged(repository):
    (repository / "a").write_text("2")
    (repository / "b").write_text("staged")
    git.run(repository, "add", "b")
    assert git.commit(repository, ["a"], "second") == git.head(repository)
    assert git.run(repository, "show", "--name-only", "--format=", "HEAD") == "a"
    assert git.run(repository, "status", "--porcelain") == "A  b"
    assert git.commit(repository, ["a"], "nothing") is None


def test_dirty_paths_leave_out_what_segtrail_commits_itself(repository):
    (repository / "a").write_text("3")
    (repository / "ledger").mkdir()
    for name in ("dvc.lock", "data.dvc", "ledger/demo.jsonl", "new file"):
        (repository / name).write_text("x")
    assert git.dirty_paths(repository) == ["a", "new file"]


def test_a_tag_is_never_moved(repository):
    first = git.head(repository)
    git.tag(repository, "demo/v1", first, "one")
    git.tag(repository, "demo/v1", first, "one")
    (repository / "a").write_text("4")
    git.commit(repository, ["a"], "next")
    with pytest.raises(WorkspaceError, match="demo/v1"):
        git.tag(repository, "demo/v1", git.head(repository), "two")
    assert git.tag_target(repository, "demo/v1") == first


def test_gits_own_words_are_in_the_error(tmp_path):
    with pytest.raises(WorkspaceError, match="not a git repository"):
        git.head(tmp_path)


def test_another_git_command_is_waited_for(repository):
    lock = repository / ".git" / "index.lock"
    lock.touch()
    threading.Timer(0.5, lock.unlink).start()
    write_text(repository / "a", "more")
    assert git.commit(repository, ["a"], "More") == git.head(repository)


def test_a_lock_that_a_killed_git_left_is_named(repository, monkeypatch):
    monkeypatch.setattr(git, "LOCKED_S", 0.2)
    lock = repository / ".git" / "index.lock"
    lock.touch()
    write_text(repository / "a", "more")
    with pytest.raises(WorkspaceError, match="File exists") as refused:
        git.commit(repository, ["a"], "More")
    assert str(refused.value.hint).startswith(f"rm {lock.resolve()} ")


def test_contents_of_many_blobs_come_in_one_go(tmp_path):
    git.run(tmp_path, "init", "--quiet")
    (tmp_path / "a b").write_bytes(b"one\nmissing\n")
    (tmp_path / "c").write_bytes(b"")
    commit = git.commit(tmp_path, ["a b", "c"], "Two")
    names = [f"{commit}:c", f"{commit}:nothing", f"{commit}:a b"]
    assert git_objects.contents(tmp_path, names) == [b"", None, b"one\nmissing\n"]
    assert git_objects.contents(tmp_path, []) == []
