"""The log of a flow's run, under the id that Prefect gave it: see `segtrail.run_log`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from flows.steps import say
from segtrail import run_log
from segtrail.workspace import Workspace

_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


@contextlib.contextmanager
def recorded(workspace: Workspace, **about: str) -> Iterator[None]:
    """Writes what the flow that runs says, with its steps' lines, into the run's log.

    Args:
        workspace: Whose.
        **about: See `run_log.Handler`.
    """
    from prefect.runtime import flow_run

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    with run_log.kept(workspace, str(flow_run.id), about, loggers, say):
        yield
