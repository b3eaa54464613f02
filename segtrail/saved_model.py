"""The identity of a SavedModel: the digests of all its files but the proof about them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segtrail.files import root_digest, tree_digests

PROOF_FOLDER = "assets.extra/segtrail"


def file_digests(model: Path) -> dict[str, str]:
    """Returns `{relative path: hex SHA-256}` of a SavedModel, without `assets.extra/segtrail/`."""
    return tree_digests(model, skip=lambda name: name.startswith(PROOF_FOLDER + "/"))


def digest(model: Path) -> str:
    """Returns the hex SHA-256 that names a SavedModel: the root over its file digests."""
    return root_digest(file_digests(model))


def megabytes(model: Path, files: Iterable[str]) -> float:
    """Returns the size of these files of a SavedModel, in 10^6 bytes."""
    return sum((model / name).stat().st_size for name in files) / 1e6
