"""Records what a command says in a log of its own, unless it is a step of a run that has one."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from typing import Any, TextIO

import typer

from segtrail import run_log
from segtrail.workspace import Workspace


class _Tee:
    """Passes what is printed on, and tells a logger each line."""

    def __init__(self, stream: TextIO, logger: logging.Logger, step: str) -> None:
        self._stream, self._logger, self._step, self._rest = stream, logger, step, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self._logger.info("%s", line, extra={"step": self._step})
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def recorded(workspace: Workspace, step: str, **about: str) -> Iterator[None]:
    """Writes what the block prints to standard output into a run's log, too.

    Args:
        workspace: Whose.
        step: The command's name.
        **about: See `run_log.Handler`.
    """
    if run_log.VARIABLE in os.environ:  # the run that this is a step of has its lines
        yield
        return
    logger = logging.Logger("segtrail.command")
    tee: Any = _Tee(sys.stdout, logger, step)
    end: typer.Exit | None = None  # no failure
    with (
        run_log.kept(workspace, str(uuid.uuid4()), about, [logger], _say),
        contextlib.redirect_stdout(tee),
    ):
        try:
            yield
        except typer.Exit as e:
            end = e
    if end is not None:
        raise end


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
