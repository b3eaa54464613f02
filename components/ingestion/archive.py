"""Opens a delivery, an archive or a folder, that nobody vouches for."""

from __future__ import annotations

import zipfile
from pathlib import Path

from components.ingestion.sources.base import Source
from components.ingestion.sources.folder import Folder
from components.ingestion.sources.names import is_utf8
from components.ingestion.sources.tar_archive import GZIP_MAGIC, Tar, is_tar
from components.ingestion.sources.zip_archive import Zip
from segtrail.errors import DataError
from segtrail.settings.dataset import Limits

__all__ = ["Source", "open_source"]

_OTHERS = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}
_EXPECTED = "a zip archive, a tar archive (also gzipped) or a folder of images and masks"


def open_source(path: Path, limits: Limits | None = None, scratch: Path | None = None) -> Source:
    """Opens a delivery and checks the names and sizes of its files.

    What it is, its first bytes say, not its name.

    Args:
        path: A zip or tar archive, the latter also gzipped, or a folder.
        limits: What it may hold at most.
        scratch: Where a gzipped archive is inflated to, to a file without a name; by default
            the system's temporary folder.

    Raises:
        DataError: Not there; none of these; or files in it are unsafe: names that lead outside
            or deceive, links, devices, sizes or ratios as of a decompression bomb, encrypted.
    """
    limits = limits or Limits()
    if not is_utf8(path.name):
        raise DataError(f"{path.name!a}: its name is not UTF-8", "rename it")
    if path.is_dir():
        return Folder(path, limits)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file or folder; expected {_EXPECTED}, or the word `synthetic`"
        )
    try:
        with open(path, "rb") as f:
            head = f.read(512)
        if head.startswith(GZIP_MAGIC) or (not head.startswith(b"PK") and is_tar(head)):
            return Tar(path, limits, scratch)
        if head.startswith(b"PK") or zipfile.is_zipfile(path):  # a program may be before it
            return Zip(path, limits)
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror or e}") from None
    for magic, called in _OTHERS.items():
        if head.startswith(magic):
            raise DataError(
                f"{path}: compressed by {called}; expected {_EXPECTED}", "pack it as zip"
            )
    raise DataError(
        f"{path}: not a readable zip or tar archive; expected {_EXPECTED}",
        "copy or download it again",
    )
