"""What git holds, each object checked against its name.

Git itself compares the two when it writes or fetches and in `git fsck`, not when it reads: whoever
can write to `.git` could put other bytes under an old name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from segtrail import git
from segtrail.errors import WorkspaceError

_SHA256_NAME = 64  # characters; SHA-1 has 40


def show(root: Path, revision: str, path: str) -> bytes:
    """Returns a file's content as of `revision`.

    Raises:
        WorkspaceError: It has none, or what is stored is not what its name says.
    """
    (content,) = show_each(root, [revision], path)
    return content


def show_each(root: Path, revisions: Sequence[str], path: str) -> Iterator[bytes]:
    """Like `show`, of many revisions by few processes of git's."""
    found = _walk(root, revisions, path)
    for revision, (kind, _, content) in zip(revisions, found, strict=True):
        if kind != "blob":
            raise WorkspaceError(f"{path} at {revision[:12]} is a {kind} of git's, not a file")
        yield content


def plain_files(root: Path, revision: str, folder: str) -> dict[str, bytes]:
    """Returns `{name: content}` of the plain files that lie in a folder as of `revision`.

    Raises:
        WorkspaceError: There is no such folder, or what is stored is not what its name says.
    """
    ((kind, name, content),) = _walk(root, [revision], folder)
    if kind != "tree":
        raise WorkspaceError(f"{folder} at {revision[:12]} is a {kind} of git's, not a folder")
    entries = _entries(content, len(name))
    files = {each: object_id for each, (mode, object_id) in entries.items() if mode[:3] == "100"}
    read = _read(root, list(files.values()))
    return {each: content for each, (_, _, content) in zip(files, read, strict=True)}


def contents(root: Path, names: Sequence[str]) -> list[bytes | None]:
    """Returns the contents of objects, in one go; None for those that are not there.

    Args:
        root: The repository's.
        names: Such as `<commit>:<path>`.

    Raises:
        WorkspaceError: What is stored is not what its name says.
    """
    return [found[2] if found else None for found in _ask(root, names)]


def files(root: Path, commit: str) -> Iterator[tuple[str, bytes]]:
    """Yields path and content of every file of a commit: the commit, its folders, its files.

    A sub-module is left out; a symbolic link's content is where it points to.

    Raises:
        WorkspaceError: An object is not there, or not what its name says.
    """
    ((kind, _, content),) = _read(root, [commit])
    if kind != "commit":
        raise WorkspaceError(f"{commit} is a {kind} of git's, not a commit")
    top = content.split(b"\n", 1)[0].removeprefix(b"tree ").decode()
    list(_read(root, [top]))  # before git reads it
    listed = git.run(root, "ls-tree", "-r", "-t", "-z", "--full-tree", top)
    rows = [line.partition("\t") for line in listed.split("\0") if line]
    found = [(about.split()[1:3], path) for about, _, path in rows]
    list(_read(root, [name for (kind, name), _ in found if kind == "tree"]))
    blobs = [(path, name) for (kind, name), path in found if kind == "blob"]
    read = _read(root, [name for _, name in blobs])
    for (path, _), (_, _, content) in zip(blobs, read, strict=True):
        yield path, content


def _walk(root: Path, revisions: Sequence[str], path: str) -> list[tuple[str, str, bytes]]:
    """Returns what is at a path of each revision; commit and folders on the way are checked."""
    if not revisions:
        return []
    asked = [f"{revision}^{{commit}}" for revision in revisions]
    found = list(_read(root, git.run(root, "rev-parse", *asked).split()))
    names = [content.split(b"\n", 1)[0].removeprefix(b"tree ").decode() for *_, content in found]
    found = list(_read(root, names))
    for part in path.strip("/").split("/"):
        names = []
        for revision, (kind, name, content) in zip(revisions, found, strict=True):
            entries = _entries(content, len(name)) if kind == "tree" else {}
            if part not in entries:
                raise WorkspaceError(f"git in {root}: {revision}:{path} is not there")
            names.append(entries[part][1])
        found = list(_read(root, names))
    return found


def _entries(tree: bytes, width: int) -> dict[str, tuple[str, str]]:
    """Returns `{name: (mode, object's name)}` of a folder as git stores it.

    Args:
        tree: Its content: `<mode> <name>\\0<object's name in bytes>`, again and again.
        width: Of an object's name, in hex digits.
    """
    found, at, size = {}, 0, width // 2
    while at < len(tree):
        end = tree.index(b"\0", at)
        mode, _, name = tree[at:end].partition(b" ")
        object_id = tree[end + 1 : end + 1 + size].hex()
        found[name.decode(errors="surrogateescape")] = (mode.decode(), object_id)
        at = end + 1 + size
    return found


def _read(root: Path, names: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yields kind, name and content of objects.

    Raises:
        WorkspaceError: One is not there, or not what its name says.
    """
    for given, found in zip(names, _ask(root, names), strict=True):
        if found is None:
            raise WorkspaceError(f"git in {root}: {given} is not there")
        yield found


def _ask(root: Path, names: Sequence[str]) -> Iterator[tuple[str, str, bytes] | None]:
    """Yields kind, name and content of objects, by one process of git's; None: it is not there."""
    if not names:
        return
    asked = "".join(f"{name}\n" for name in names)
    output, at = git.run_bytes(root, "cat-file", "--batch", stdin=asked), 0
    for given in names:
        end = output.index(b"\n", at)
        head = output[at:end].decode().rsplit(" ", 2)
        if len(head) != 3 or not head[2].isdigit():
            at = end + 1
            yield None
            continue
        name, kind, size = head
        content = output[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)
        kind_of = hashlib.sha256 if len(name) == _SHA256_NAME else hashlib.sha1
        digest = kind_of(f"{kind} {size}\0".encode(), usedforsecurity=False)
        digest.update(content)
        if digest.hexdigest() != name:
            raise WorkspaceError(
                f"git in {root}: the content of {given} is not what its name {name[:12]} says: it "
                "was changed, or the disk is failing",
                "git fsck   (and fetch it from a clone that is whole)",
            )
        yield kind, name, content
