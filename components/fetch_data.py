"""Fetches a public data set from its publisher, or says where to ask for it."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from components.fetching.catalogue import PublicSet
from components.fetching.download import ResumingDownloader, check_url, shown
from segtrail.errors import ConfigError, DataError
from segtrail.files import sha256_file, write_text
from segtrail.progress import say

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Fetched:
    """A file that is there.

    Attributes:
        path: Where.
        sha256: Of its content.
        checked: Whether that was known before, from the publisher, the caller or an earlier
            time; if not, it is recorded now.
        downloaded: Whether this call brought it.
    """

    path: Path
    sha256: str
    checked: bool
    downloaded: bool


def fetch(
    public: PublicSet,
    folder: Path,
    *,
    url: str | None = None,
    sha256: str | None = None,
    backoff_s: float = 1.0,
) -> Fetched | None:
    """Brings a public data set's archive into `folder`, unless it is there.

    The digest is recorded in `<file>.sha256`, as `sha256sum --check` reads it. What arrives, or
    is there, must have the digest that `sha256`, the catalogue or the record says. An
    interrupted download goes on where it stopped.

    Args:
        public: Of the catalogue.
        folder: Made if it is not there.
        url: Instead of the catalogue's.
        sha256: What the content must have.
        backoff_s: Seconds before the second attempt.

    Returns:
        The file; None if it is not there and nobody said where to download it.

    Raises:
        ConfigError: `url` or `sha256` is not one.
        DataError: It cannot be had, or is not what it should be.
    """
    if url is not None:
        check_url(url)
    if sha256 is not None and not _SHA256.fullmatch(sha256 := sha256.strip().lower()):
        raise ConfigError(f"--sha256: expected 64 hexadecimal digits; got {sha256!r}")
    target = folder / public.file
    record = target.with_name(f"{target.name}.sha256")
    expected = sha256 or public.sha256 or _recorded(record)
    if target.exists():
        found = sha256_file(target)
        if expected and found != expected:
            _refuse_present(target, expected, found)
        _require_archive(target)
        write_text(record, f"{found}  {target.name}\n")
        return Fetched(target, found, bool(expected), False)
    address = url or public.url
    if not address:
        return None
    found = _download(address, target, expected, record, backoff_s)
    write_text(record, f"{found}  {target.name}\n")
    return Fetched(target, found, bool(expected), True)


def _download(url: str, target: Path, expected: str, record: Path, backoff_s: float) -> str:
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it would say on stderr what is said here
    downloader = ResumingDownloader(target, _require_archive, backoff_s=backoff_s)
    say(f"fetching {target.name} from {shown(url)}")
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{expected}" if expected else None,
            fname=target.name,
            path=target.parent,
            downloader=downloader,
        )
    except ValueError:
        if downloader.sha256 in ("", expected):
            raise
        _refuse_download(target, expected, downloader.sha256, record)
    return downloader.sha256


def _refuse_present(target: Path, expected: str, found: str) -> None:
    raise DataError(
        f"{target}: is there, and is not what it should be: expected the SHA-256 {expected}, "
        f"found {found}",
        f"move it away and fetch it again: mv {target} {target}.other",
    )


def _refuse_download(target: Path, expected: str, found: str, record: Path) -> None:
    message = (
        f"{target.name}: what came is not what it should be: expected the SHA-256 {expected}, "
        f"found {found}; it was not kept"
    )
    if _recorded(record) == expected:
        raise DataError(
            f"{message} ({record} holds what it was when it was fetched first)",
            f"if the publisher changed it and you accept that: rm {record}",
        )
    raise DataError(message, "ask the publisher which is right, or look at --sha256")


def _recorded(record: Path) -> str:
    """Returns the digest in `<file>.sha256`, or nothing if there is no such file.

    Raises:
        DataError: The file holds something else.
    """
    try:
        text = record.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        text = ""
    digest = text.split(maxsplit=1)[0] if text.strip() else ""
    if not _SHA256.fullmatch(digest):
        raise DataError(
            f"{record}: expected a SHA-256 and a file name; found {text[:80]!r}", f"rm {record}"
        )
    return digest


def _require_archive(path: Path) -> None:
    """Refuses a web page, which a server may send where a file used to be."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as f:
            start = f.read(40)
        raise DataError(
            f"{path}: not a zip archive: {path.stat().st_size:,} bytes that start with {start!r}",
            "look at the address in a browser: it may lead to a page, not to the file",
        )
