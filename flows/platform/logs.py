"""The servers' logs, as they were last and as they grow."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from flows.platform import service, supervisor
from segtrail import run_log
from segtrail.errors import MissingArtifactError
from segtrail.progress import say
from segtrail.workspace import Workspace

_ONE, _EACH = 200, 20
_POLL_S = 0.5


class Tail:
    """Reads what is added to a log, also when supervisord begins a new file.

    Args:
        path: Of the log.
        whole: Reads also what is there already.
    """

    def __init__(self, path: Path, whole: bool = False) -> None:
        self._path = path
        self._file, self._at, self._rest = -1, 0, b""
        with contextlib.suppress(OSError):
            found = path.stat()
            self._file, self._at = found.st_ino, 0 if whole else found.st_size

    @property
    def rest(self) -> str:
        """The beginning of a line, as far as it was written."""
        return self._rest.decode(errors="replace")

    def lines(self) -> list[str]:
        """Returns the whole lines that were added since."""
        with contextlib.suppress(OSError), open(self._path, "rb") as f:
            found = os.fstat(f.fileno())
            if found.st_ino != self._file or found.st_size < self._at:
                self._file, self._at, self._rest = found.st_ino, 0, b""
            f.seek(self._at)
            *lines, self._rest = (self._rest + f.read()).split(b"\n")
            self._at = f.tell()
            return [line.decode(errors="replace") for line in lines]
        return []


def show_run(log: Path, follow: bool, as_json: bool) -> None:
    """Prints the log of a run.

    Args:
        log: See `segtrail.run_log`.
        follow: Goes on until it is interrupted.
        as_json: Prints its lines as they are.
    """
    tell = say if as_json else lambda line: say(run_log.readable(line))
    tail = Tail(log, whole=True)
    while True:
        for line in tail.lines():
            tell(line)
        if not follow:
            break
        time.sleep(_POLL_S)
    if tail.rest:
        tell(tail.rest)


def show(workspace: Workspace, names: Sequence[str], follow: bool) -> None:
    """Prints the last lines of logs, each behind its server's name where there are several.

    Args:
        workspace: Whose servers.
        names: Which.
        follow: Goes on until it is interrupted.

    Raises:
        MissingArtifactError: There is no log.
    """
    logs = {name: supervisor.log_of(workspace.platform, name) for name in names}
    if not any(log.exists() for log in logs.values()):
        raise MissingArtifactError(
            f"{workspace.platform}: no log of {', '.join(names)}", "segtrail up"
        )
    heads = {name: f"{name:<7} | " if len(names) > 1 else "" for name in names}
    tails = {name: Tail(log) for name, log in logs.items()}
    for name, log in logs.items():
        for line in service.last_lines(log, _ONE if len(names) == 1 else _EACH):
            say(heads[name] + line)
    while follow:
        for name, tail in tails.items():
            for line in tail.lines():
                say(heads[name] + line)
        time.sleep(_POLL_S)
