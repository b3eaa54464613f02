"""Finds the image that a person means: by a file, a digest, or its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lineage import dvc_files
from lineage.tracing.index import Index
from lineage.tracing.rows import Part
from segtrail import tombstones
from segtrail.errors import DataError, LineageError
from segtrail.files import sha256_bytes

LEAST = 8  # characters of a digest
_HEX = re.compile(rf"[0-9a-f]{{{LEAST},64}}")
_SHOWN = 10


@dataclass(frozen=True)
class Match:
    """An image, and which of its contents are meant.

    Attributes:
        dataset: Its dataset.
        image: Its id.
        how: By what it was found.
        sha256: Digests of contents that are meant.
        md5: Likewise. If both are empty: all contents.
    """

    dataset: str
    image: str
    how: str
    sha256: frozenset[str] = frozenset()
    md5: frozenset[str] = frozenset()

    def means(self, sha256: str, md5: str) -> bool:
        """Whether a content is meant."""
        return sha256 in self.sha256 or md5 in self.md5 or not (self.sha256 or self.md5)


@dataclass(frozen=True)
class _Found:
    """A digest that an image's file had."""

    dataset: str
    image: str
    kind: str
    digest: str
    sha256: str
    md5: str


def find(index: Index, word: str, dataset: str | None = None) -> list[Match]:
    """Returns the images that a word names; several if they have the same bytes or name.

    Args:
        index: Of the workspace.
        word: A file; an image's id; or the beginning of a SHA-256 or MD5 of its file.
        dataset: Only images of this one.

    Raises:
        LineageError: No data version has such an image, or several digests begin so.
        DataError: The file cannot be read.
    """
    known = sorted({part.dataset for part in index.parts()})
    if dataset and dataset not in known:
        raise LineageError(
            f"no data version has a dataset {dataset!r}; there are {', '.join(known) or 'none'}",
            "segtrail data log",
        )
    path = Path(word)
    is_file = _is_file(path)
    matches = _by_file(index, path) if is_file else []
    matches = matches or _by_name(index, word) or _by_beginning(index, word.lower())
    matches = [match for match in matches if dataset in (None, match.dataset)]
    if matches:
        return sorted(matches, key=lambda match: (match.dataset, match.image))
    what = "that is this file" if is_file else "with that id or digest"
    where = f"version of {dataset}" if dataset else "version of the data"
    if unread := len(index.unread()):
        raise LineageError(
            f"{word}: no {where} that could be read holds an image {what}; {unread} more are not "
            "in DVC's cache",
            "dvc fetch --all-commits",
        )
    raise LineageError(
        f"{word}: no {where} holds an image {what}",
        "it takes a file as it was delivered or as it lies in data/, an id of splits.csv, or at "
        "least 8 characters of a SHA-256 or MD5",
    )


def graves(index: Index) -> Iterator[tuple[str, tombstones.Row]]:
    """Yields the tombstones of the latest version of each dataset that has some."""
    latest: dict[str, Part] = {}
    parts = {(part.listing, part.dataset): part for part in index.parts()}
    for dataset in {part.dataset for part in parts.values()}:
        for _, md5 in index.commits:
            part = parts.get((md5, dataset))
            if part and part.tombstones:
                latest[dataset] = part
                break
    for dataset, part in sorted(latest.items()):
        try:
            content = dvc_files.read_object(index.cache, part.tombstones)
            for row in tombstones.parse(content, f"{dataset}/{tombstones.TOMBSTONES}"):
                yield dataset, row
        except (LineageError, DataError):
            continue  # told among what could not be looked at


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a word too long for a file's name
        return False


def _by_file(index: Index, path: Path) -> list[Match]:
    data = path.read_bytes()
    sha256, md5 = sha256_bytes(data), dvc_files.file_md5(path)
    found = [each for each in _digests(index, sha256, "=") if each.digest == sha256]
    found += [each for each in _digests(index, md5, "=") if each.digest == md5]
    if found:
        return _matches(found, "the bytes of the file")
    try:
        from segtrail import png
        from segtrail.images import decode_image

        sha256 = sha256_bytes(png.encode(decode_image(data, str(path))))
    except DataError:
        return []
    return _matches(
        _digests(index, sha256, "="), "the pixels of the file, as ingestion writes them"
    )


def _by_name(index: Index, word: str) -> list[Match]:
    listed = {(each.dataset, each.row.image) for each in index.listed("image = ?", word)}
    held = {(each.dataset, each.image) for each in index.held("image = ?", word)}
    return [Match(dataset, image, "its id") for dataset, image in listed | held]


def _by_beginning(index: Index, word: str) -> list[Match]:
    if not _HEX.fullmatch(word):
        return []
    found = _digests(index, word, "beginning")
    several = {each.digest: each for each in found}
    if len(several) > 1 and len({each.sha256 or each.md5 for each in found}) > 1:
        lines = [f"{e.digest} ({e.kind} of {e.dataset}/{e.image})" for e in several.values()]
        more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise LineageError(
            f"{len(lines)} digests begin with {word}: " + "; ".join([*lines[:_SHOWN], *more]),
            "give more characters of one of them",
        )
    return _matches(found, f"{found[0].kind} of its file" if found else "")


def _digests(index: Index, word: str, how: str) -> list[_Found]:
    """Returns the files of images whose digest is `word`, or begins so, in any version."""

    def where(column: str) -> tuple[str, list[str]]:
        if how == "=":
            return f"{column} = ?", [word]
        return f"{column} >= ? AND {column} < ?", [word, word + "g"]

    found: list[_Found] = []
    for column, kind in (("sha256", "SHA-256"), ("delivered_sha256", "SHA-256 as delivered")):
        condition, values = where(column)
        for each in index.listed(condition, *values):
            row = each.row
            found.append(
                _Found(each.dataset, row.image, kind, getattr(row, column), row.sha256, "")
            )
    condition, values = where("md5")
    for held in index.held(condition, *values):
        found.append(_Found(held.dataset, held.image, "MD5", held.md5, "", held.md5))
    for dataset, grave in graves(index):
        for kind, digest in (("SHA-256", grave.sha256), ("MD5", grave.md5)):
            if digest and (digest == word if how == "=" else digest.startswith(word)):
                found.append(_Found(dataset, grave.image, kind, digest, grave.sha256, grave.md5))
    return found


def _matches(found: Iterable[_Found], how: str) -> list[Match]:
    of_image: dict[tuple[str, str], list[_Found]] = {}
    for each in found:
        of_image.setdefault((each.dataset, each.image), []).append(each)
    return [
        Match(
            dataset, image, how,
            frozenset(each.sha256 for each in mine if each.sha256),
            frozenset(each.md5 for each in mine if each.md5),
        )
        for (dataset, image), mine in of_image.items()
    ]  # fmt: skip
