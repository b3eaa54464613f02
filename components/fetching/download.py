"""A downloader for pooch that goes on where an earlier one stopped.

Pooch's own starts again from the first byte, since it writes to a temporary file that it deletes
when the connection breaks.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components.fetching.meter import MIB, meter
from components.fetching.partial import Partial
from segtrail import __version__
from segtrail.errors import ConfigError, DataError, SegtrailError
from segtrail.files import sha256_file
from segtrail.progress import say

PIECE = 16 << 10  # bytes; what came of a piece is lost when the connection breaks within it
PROGRESS = 64 << 10  # bytes; a connection that brought fewer counts as failed for nothing
LONGEST_WAIT_S = 60.0
MOST_BYTES = 64 << 30
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_WHERE = re.compile(r"^(<.*? at 0x\w+>|HTTPS?Connection\w*\(.*?\)): ")  # urllib3 puts it first
_MAY_PASS = (408, 425, 429, 500, 502, 503, 504)


class _Interrupted(Exception):
    """The transfer stopped for a reason that may pass."""

    def __init__(self, why: str, wait_s: float = 0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class ResumingDownloader:
    """Downloads over HTTP into `<target>.part` and goes on from there, now or in another run.

    Args:
        target: The file that pooch will put in place.
        check: Looks at the whole file before pooch gets it; raises to refuse it.
        retries: How often in a row a connection may fail without bringing anything.
        backoff_s: Seconds before the second attempt; doubled for each that follows.
        timeout_s: To connect, and between two pieces.

    Attributes:
        sha256: Of what was downloaded; empty before.
    """

    def __init__(
        self,
        target: Path,
        check: Callable[[Path], None] = lambda _: None,
        retries: int = 5,
        backoff_s: float = 1.0,
        timeout_s: tuple[float, float] = (10.0, 30.0),
    ) -> None:
        self.partial = Partial(target)
        self.check = check
        self.retries = retries
        self.backoff_s = backoff_s
        self.timeout_s = timeout_s
        self.sha256 = ""

    def __call__(
        self, url: str, output_file: Any, pooch: Any = None, check_only: bool = False
    ) -> None:
        """Downloads `url` to the path `output_file`; called by pooch.

        Raises:
            DataError: Not there, not what it should be, no connection, or no room.
            WorkspaceError: Another download of the same file is running.
        """
        with self.partial.lock():
            self._all_of(url)
            try:
                self.check(self.partial.path)
            except SegtrailError:
                self.partial.discard()
                raise
            self.sha256 = sha256_file(self.partial.path)
            self.partial.finish(Path(output_file))

    def _all_of(self, url: str) -> None:
        failures = 0
        while True:
            before = self.partial.size
            try:
                return self._attempt(url)
            except _Interrupted as e:
                came = self.partial.size - before
                failures = 1 if came >= PROGRESS else failures + 1
                if failures > self.retries:
                    raise DataError(
                        f"{shown(url)}: {e}; gave up after {failures} attempts, with "
                        f"{self.partial.size:,} bytes so far",
                        "look at the connection (and HTTPS_PROXY, if you need one); the same "
                        "command goes on from here",
                    ) from None
                wait = max(e.wait_s, self.backoff_s * 2 ** (failures - 1))
                wait = min(wait, LONGEST_WAIT_S)
                say(f"{shown(url)}: {e}; trying again in {wait:.3g} s")
                time.sleep(wait)

    def _attempt(self, url: str) -> None:
        """Asks for what is missing, once."""
        import requests
        from urllib3.exceptions import LocationParseError

        headers = {
            "Accept-Encoding": "identity",  # else the bytes are not those of the file
            "User-Agent": f"segtrail/{__version__}",
            **self.partial.headers(url),
        }
        try:
            with requests.get(url, headers=headers, stream=True, timeout=self.timeout_s) as answer:
                self._take(url, answer)
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.TooManyRedirects,
            LocationParseError,
        ) as e:
            raise DataError(f"{shown(url)}: {e}") from None
        except requests.exceptions.SSLError as e:
            raise DataError(
                f"{shown(url)}: the server's certificate is not accepted: {_cause(e)}",
                "REQUESTS_CA_BUNDLE names your organisation's certificates, if it has its own",
            ) from None
        except requests.exceptions.RequestException as e:
            raise _Interrupted(f"the connection failed: {_cause(e)}") from None

    def _take(self, url: str, answer: Any) -> None:
        """Writes an answer's bytes, after those that are there if it is their rest."""
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise DataError(f"{shown(url)}: leads to {shown(answer.url)}, which is not encrypted")
        have = self.partial.size
        start, total = _range(answer)
        if answer.status_code == 416 and have and total == have:
            return  # all of it was there
        if answer.status_code in (206, 416):
            if start != have or not self.partial.is_of(answer.headers, total):
                self.partial.discard()
                raise _Interrupted("the server has another file now; starting again")
            say(f"{self.partial.target.name}: {have / MIB:.1f} MiB are here; fetching the rest")
        elif answer.status_code == 200:
            if have:
                say(f"{self.partial.target.name}: changed, or comes in one piece: starting again")
            self.partial.begin(url, answer.headers, total)
            have = 0
        else:
            _refuse(url, answer)
        self._require_room(have, total)
        with meter(f"fetching {self.partial.target.name}", have, total) as advance:
            for count in self.partial.append(answer.iter_content(PIECE)):
                advance(count)
                if self.partial.size > MOST_BYTES:
                    self.partial.discard()
                    raise DataError(f"{shown(url)}: sent more than {MOST_BYTES >> 30} GiB")
        if total is not None and self.partial.size < total:
            raise _Interrupted(f"the connection ended {total - self.partial.size:,} bytes early")
        if total is not None and self.partial.size > total:
            self.partial.discard()
            raise _Interrupted("the server sent more than it said; starting again")

    def _require_room(self, have: int, total: int | None) -> None:
        folder = self.partial.path.parent
        free = shutil.disk_usage(folder).free
        if total is not None and total - have > free:
            raise DataError(
                f"{folder}: {(total - have) / MIB:.0f} MiB are needed and {free / MIB:.0f} MiB "
                "are free",
                "make room, or name another folder with --to",
            )


def check_url(url: str) -> None:
    """Raises:
    ConfigError: Not an HTTP address with a host.
    """
    try:
        url.encode()
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"--url: expected https://host/path; got {url!a}")


def shown(url: str) -> str:
    """Returns an address without what may be secret: user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _range(answer: Any) -> tuple[int, int | None]:
    """Returns where an answer's bytes start in the file, and how long the file is."""
    if answer.status_code in (206, 416):
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if not found:
            return -1, None
        start, _, total = found.groups()
        return int(start) if start else -1, int(total) if total != "*" else None
    length = answer.headers.get("Content-Length", "")
    plain = answer.headers.get("Content-Encoding", "identity") == "identity"
    return 0, int(length) if plain and length.isdecimal() else None


def _refuse(url: str, answer: Any) -> None:
    status = f"the server says {answer.status_code} {answer.reason}"
    if answer.status_code in _MAY_PASS:
        after = answer.headers.get("Retry-After", "")
        raise _Interrupted(status, float(after) if after.isdecimal() else 0)
    hint = "look at the publisher's page for the new address and give it with --url"
    if answer.status_code in (401, 403):
        hint = "ask the publisher for access, or give an address of your own with --url"
    raise DataError(f"{shown(url)}: {status}", hint)


def _cause(error: BaseException) -> str:
    """Returns the innermost reason of a connection's failure, in its own words."""
    reason: Any = error
    for _ in range(8):
        inner = getattr(reason, "reason", None) or next(
            (arg for arg in getattr(reason, "args", ()) if isinstance(arg, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        reason = inner
    return _WHERE.sub("", str(reason)) or type(reason).__name__
