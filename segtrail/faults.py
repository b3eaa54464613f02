"""Tells a fault of what segtrail runs on from a mistake: the same command may succeed later.

Faults are servers and remotes that give no answer, a full disk, too little memory, a locked
database. A model that is refused, or a wrong setting, is none: it stays what it is.
"""

from __future__ import annotations

import errno
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
_MLFLOW = re.compile(r"API request to (\w+://[^/\s]+)\S* failed with .*?exception")
_WHY = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
_PREFECT = "ephemeral Prefect API server"  # a run's own, that did not start: a RuntimeError
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
    "httpx.TransportError",
}


def is_fault(error: BaseException) -> bool:
    """Whether an error, or one that it came of, is a fault."""
    return any(_is_one(each) for each in _chain(error))


def told(error: Exception) -> SegtrailError:
    """Returns a fault in the words of a library, such as MLflow's or Prefect's, with a hint."""
    hint = FREE_SOME if is_full_disk(error) else HINT
    says = " ".join(str(error).split())
    if found := _MLFLOW.match(says):  # the rest names addresses and queries
        why = _WHY.search(says)
        says = f"MLflow at {found[1]} gives no answer" + (f": {why[1]}" if why else "")
    return SegtrailError(says[:_LONGEST], hint)


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
    return any(f"{kind.__module__}.{kind.__qualname__}" in _NAMES for kind in type(error).__mro__)


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
