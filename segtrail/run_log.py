"""The log of one run: `.segtrail/logs/<run id>.jsonl`, one JSON object a line.

    {"time": "2026-02-03T04:05:06.789Z", "level": "INFO", "run": "…", "recipe": "nuclei",
     "step": "train", "message": "epoch 3: loss 0.41"}

An ingestion's lines have `dataset` in the place of `recipe`. It is written through the standard
`logging`; a disk that is full, or may not be written, costs the log and not the run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from segtrail.errors import MissingArtifactError
from segtrail.secrets import hidden
from segtrail.workspace import Workspace

VARIABLE = "SEGTRAIL_RUN"  # in the environment of a run's processes: which run it is
KEPT = 100
LAST = "last"
_SUFFIX = ".jsonl"


def folder(workspace: Workspace) -> Path:
    """Returns where the logs lie, also those of runs in the clones of workers."""
    return workspace.home / ".segtrail" / "logs"


def path_of(workspace: Workspace, run: str) -> Path:
    """Returns the log of a run."""
    return folder(workspace) / f"{run}{_SUFFIX}"


def shown(workspace: Workspace, run: str) -> str:
    """Returns the log's path as a person is told it: from the workspace."""
    return str(path_of(workspace, run).relative_to(workspace.home))


class Handler(logging.FileHandler):
    """Adds records to the log of a run; lets those pass by that are of another.

    Args:
        workspace: Whose.
        run: The run's id.
        about: What each line says besides: `recipe` or `dataset`.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, workspace: Workspace, run: str, about: Mapping[str, str]) -> None:
        self._run, self._about = run, dict(about)
        path = path_of(workspace, run)
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        _keep_newest(path.parent)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is of this run."""
        return getattr(record, "flow_run_id", self._run) == self._run

    def format(self, record: logging.LogRecord) -> str:
        """Returns a record's line: of Prefect's a task's name is the step."""
        step = getattr(record, "step", None) or getattr(record, "task_name", None)
        message = getattr(record, "line", None) or record.getMessage().strip()
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": at.replace("+00:00", "Z"), "level": record.levelname, "run": self._run,
            **self._about, "step": step, "message": hidden(message),
        }  # fmt: skip
        return json.dumps(line, ensure_ascii=False)

    def handleError(self, record: logging.LogRecord) -> None:
        """Goes on without the line."""


@contextlib.contextmanager
def kept(
    workspace: Workspace, run: str, about: Mapping[str, str], loggers: list[logging.Logger],
    say: Callable[[str], None],
) -> Iterator[None]:  # fmt: skip
    """Writes what `loggers` are told into the run's log, for the time of the block.

    Args:
        workspace: Whose.
        run: The run's id.
        about: See `Handler`.
        loggers: Which; an error that ends the block is written, too.
        say: Is told where the log is, at the start and at a failure.
    """
    try:
        handler = Handler(workspace, run, about)
    except OSError as e:
        say(f"run {run}; no log: {folder(workspace)} cannot be written: {e.strerror}")
        yield
        return
    for logger in loggers:
        logger.addHandler(handler)
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = run
    try:
        say(f"run {run}; log: {shown(workspace, run)}")
        yield
    except Exception as e:
        error = {"levelname": "ERROR", "levelno": logging.ERROR, "msg": str(e) or type(e).__name__}
        handler.handle(logging.makeLogRecord(error))  # the logger's others are told by the engine
        say(f"failed; log: {shown(workspace, run)}")
        raise
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def find(workspace: Workspace, name: str) -> Path:
    """Returns the log of a run.

    Args:
        workspace: Whose.
        name: The run's id, the beginning of it, or `last`.

    Raises:
        MissingArtifactError: There is none, or several begin so.
    """
    logs = _newest_first(folder(workspace))
    found = logs[:1] if name == LAST else [log for log in logs if log.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    which = ", ".join(log.stem for log in (found or logs)[:3]) or "none"
    raise MissingArtifactError(
        f"{len(found) or 'no'} logs in {folder(workspace)} begin so; the newest "
        f"{'of them' if found else 'there'}: {which}",
        "segtrail logs last",
    )


def readable(line: str) -> str:
    """Returns a line of a log as a person reads it."""
    try:
        said = json.loads(line)
        level = "" if said["level"] == "INFO" else f"{said['level']}: "
        at = str(said["time"]).replace("T", " ")[:19]
        return f"{at}  {said['step'] or '':>14} | {level}{said['message']}"
    except (ValueError, LookupError, TypeError):
        return line  # cut off by a full disk


def _newest_first(logs: Path) -> list[Path]:
    found = []
    for path in logs.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _keep_newest(logs: Path) -> None:
    for path in _newest_first(logs)[KEPT:]:
        path.unlink(missing_ok=True)
