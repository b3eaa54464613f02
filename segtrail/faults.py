"""Tells a fault of what segtrail runs on from a mistake: the same command may succeed later.

Faults are servers and remotes that give no answer, a full disk, too little memory, a locked
database. A model that is refused, or a wrong setting, is none: it stays what it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator

from segtrail.errors import SegtrailError

HINT = "what it runs on failed, not segtrail's input: mend that, or wait, and run it again"
FREE_SOME = "free some of the disk (segtrail doctor, segtrail gc --dry-run), and run it again"
_LONGEST = 600  # characters of a library's words
_NUMBERS = {
    getattr(errno, name)
    for name in (
        "ENOSPC", "EDQUOT", "EIO", "ESTALE", "ENOMEM", "EMFILE", "ENFILE", "ECONNREFUSED",
        "ECONNRESET", "ECONNABORTED", "ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH",
        "ETIMEDOUT",
    )
    if hasattr(errno, name)
}  # fmt: skip
_FULL = re.compile(r"No space left on device|Disk quota exceeded|disk is full")
MLFLOW_AWAY = "API request to "  # begins what MLflow says when its server cannot be reached
_MLFLOW = re.compile(MLFLOW_AWAY + r"(\w+://[^/\s]+)\S* failed with .*?exception")
_WHY = re.compile(r"\[(?:Errno -?\d+|SSL: \w+)\] ([^'\"()]+)")
_PREFECT = "ephemeral Prefect API server"  # a run's own, that did not start: a RuntimeError
_HTTPX = "httpx.TransportError"  # Prefect's client's; nothing else here asks by httpx
# by name, so that telling a fault imports none of these libraries
_NAMES = {
    "requests.exceptions.ConnectionError",
    "requests.exceptions.Timeout",
    "urllib3.exceptions.HTTPError",
    "botocore.exceptions.EndpointConnectionError",
    "botocore.exceptions.ConnectionError",
    "sqlalchemy.exc.OperationalError",
    "sqlite3.OperationalError",
    "aiohttp.client_exceptions.ClientConnectionError",
    _HTTPX,
}


def is_fault(error: BaseException) -> bool:
    """Whether an error, or one that it came of, is a fault."""
    return any(_is_one(each) for each in _chain(error))


def told(error: Exception) -> SegtrailError:
    """Returns a fault in the words of a library, such as MLflow's or Prefect's, with a hint."""
    hint = FREE_SOME if is_full_disk(error) else HINT
    says = " ".join(str(error).split())
    if found := _MLFLOW.match(says):  # the rest names addresses and queries
        says = _no_answer("MLflow", found[1], says)
    elif (unanswered := _unanswered(error)) is not None:
        says = _no_answer("Prefect", *unanswered)
    return SegtrailError(says[:_LONGEST], hint)


def _no_answer(server: str, address: str, says: str) -> str:
    if found := _WHY.search(says):
        says = found[1]
    elif server == "MLflow":  # its words name addresses and queries alone
        return f"{server} at {address} gives no answer"
    return f"{server} at {address} gives no answer: {says}"


def _unanswered(error: Exception) -> tuple[str, str] | None:
    """Returns the address that Prefect's client asked in vain, and what came of it."""
    for each in _chain(error):
        if _is_a(each, {_HTTPX}):
            with contextlib.suppress(RuntimeError):  # an error without its request
                url = each.request.url  # type: ignore[attr-defined]
                return f"{url.scheme}://{url.netloc.decode()}", str(each)
    return None


def cause(error: BaseException) -> str:
    """Returns what began it, in a few words: `Connection refused`."""
    *_, first = _chain(error)
    if isinstance(first, OSError) and first.errno is not None:
        # those of names that do not resolve, and of TLS, are numbers of their own
        return os.strerror(first.errno) if first.errno in _NUMBERS else str(first.strerror)
    return " ".join(str(first).split())[:_LONGEST] or type(first).__name__


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, or one that it came of, is of a disk without room."""
    return any(_FULL.search(str(each)) for each in _chain(error))


def _is_one(error: BaseException) -> bool:
    if isinstance(error, MemoryError | ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return True
    if isinstance(error, RuntimeError) and _PREFECT in str(error):
        return True
    if isinstance(error, shutil.Error):  # of a folder that was copied: the words of each file
        return any(f"[Errno {number}]" in str(error) for number in _NUMBERS)
    return _is_a(error, _NAMES)


def _is_a(error: BaseException, names: set[str]) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [e for e in (each.__cause__, each.__context__) if e is not None]
