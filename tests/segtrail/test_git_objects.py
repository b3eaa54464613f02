"""What git holds, read and checked against its name."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from segtrail import git, git_objects
from segtrail.errors import WorkspaceError


@pytest.fixture(params=["sha1", "sha256"])
def repository(request, tmp_path: Path) -> Path:
    git.run(tmp_path, "init", "--quiet", f"--object-format={request.param}")
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/ü.txt").write_text("one\n")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("empty")
    git.run(tmp_path, "add", "--all")
    git.run(tmp_path, "commit", "--quiet", "-m", "First")
    return tmp_path


def rewrite(root: Path, name: str, content: bytes) -> None:
    object_id = git.run(root, "rev-parse", name)
    path = root / ".git/objects" / object_id[:2] / object_id[2:]
    kind = zlib.decompress(path.read_bytes()).split(b" ")[0]
    path.chmod(0o644)
    path.write_bytes(zlib.compress(kind + b" %d\0" % len(content) + content))


def test_every_file_of_a_commit(repository: Path) -> None:
    found = dict(git_objects.files(repository, git.head(repository)))
    assert found == {"a b/ü.txt": b"one\n", "empty": b"", "link": b"empty"}
    assert git_objects.show(repository, "HEAD", "a b/ü.txt") == b"one\n"
    assert list(git_objects.show_each(repository, ["HEAD", "HEAD"], "empty")) == [b"", b""]


def test_what_is_not_there(repository: Path) -> None:
    with pytest.raises(WorkspaceError, match="HEAD:none is not there"):
        git_objects.show(repository, "HEAD", "none")
    with pytest.raises(WorkspaceError, match="is a tree of git's, not a file"):
        git_objects.show(repository, "HEAD", "a b")
    with pytest.raises(WorkspaceError, match="is not there"):
        list(git_objects.files(repository, "0" * 40))


@pytest.mark.parametrize("name", ["HEAD:a b/ü.txt", "HEAD:a b", "HEAD^{tree}", "HEAD"])
def test_other_bytes_under_an_old_name_are_noticed(repository: Path, name: str) -> None:
    """As git itself would only in `git fsck`."""
    output = git.run_bytes(repository, "cat-file", "--batch", stdin=f"{name}\n")
    raw = output.split(b"\n", 1)[1][:-1]
    changed = raw.replace(b"one", b"two").replace(b"txt", b"tyt").replace(b"First", b"Worst")
    changed = changed.replace(b"empty", b"emptz") if changed == raw else changed
    assert changed != raw
    rewrite(repository, name, changed)
    with pytest.raises(WorkspaceError, match="is not what its name"):
        dict(git_objects.files(repository, "HEAD"))
