"""The tasks that flows are made of: a stage through DVC, or one `segtrail` command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import MissingContextError
from prefect.states import Completed

from flows import process, telling
from flows.repro import Did, as_error, reproduce
from flows.step_fault import StepFault
from segtrail.errors import StageError
from segtrail.settings.operations import Operations
from segtrail.workspace import Workspace

_STATE_NAMES = {Did.SKIPPED: "Skipped", Did.RESTORED: "Restored", Did.RAN: "Completed"}
SKIPPED = _STATE_NAMES[Did.SKIPPED]
_HOUR_S = 3600.0


@dataclass(frozen=True)
class Bounds:
    """What a run may take.

    Args:
        until: On `time.monotonic()`'s clock: when its steps are ended.
        delays: Seconds before each new try of a step that a fault ended.
    """

    until: float | None = None
    delays: tuple[float, ...] = ()

    @classmethod
    def of(cls, operations: Operations) -> Bounds:
        """Returns the bounds of a scheduled run that starts now."""
        return cls(
            time.monotonic() + operations.time_out * _HOUR_S,
            tuple(operations.retry_after * 2**n for n in range(operations.retries)),
        )


UNBOUNDED = Bounds()  # of a run that somebody watches


def say(text: str) -> None:
    """Logs one line: to the console and, through Prefect, to the run's page."""
    try:
        get_run_logger().info(text, extra={"segtrail": True})
    except MissingContextError:
        print(text, flush=True)


def stage(
    workspace: Workspace, recipe: str, name: str, changed: bool, lock: int, bounds: Bounds
) -> str:
    """Runs one stage through DVC; returns `Skipped`, `Restored` or `Completed`.

    Raises:
        StageError: It failed; after a fault, as often as the bounds allow.
    """
    run = _with_retries(_run_stage, name, bounds)
    return outcome_of(run(workspace, recipe, name, changed, lock, bounds.until, return_state=True))


def command(
    workspace: Workspace, name: str, arguments: Sequence[str], allowed: dict[int, str],
    lock: int | None, bounds: Bounds,
) -> str:  # fmt: skip
    """Runs one `segtrail` command; returns `Completed`, or the name of an allowed exit code.

    Args:
        workspace: Where it runs.
        name: What to call it.
        arguments: Of `segtrail`.
        allowed: Names of the exit codes, besides 0, that are no failure.
        lock: A lock's file descriptor, held until its last child is gone.
        bounds: When it is ended, and how often a fault is tried again.

    Raises:
        StageError: It ended with another exit code.
    """
    run = _with_retries(_run_command, name, bounds)
    return outcome_of(
        run(workspace, name, [*arguments], allowed, lock, bounds.until, return_state=True)
    )


def own_command(arguments: Sequence[str]) -> list[str]:
    """Returns what starts `segtrail ARGUMENTS` with this very Python."""
    return [sys.executable, "-m", "cli", *arguments]


def outcome_of(state: State) -> str:
    """Returns the name of a task's state.

    Raises:
        BaseException: What the task raised.
    """
    if state.is_completed():
        return state.name or "Completed"
    found = state.result(raise_on_failure=False)
    raise (
        found if isinstance(found, BaseException) else StageError(state.message or "a step failed")
    )


def _with_retries(run: Any, name: str, bounds: Bounds) -> Any:
    if not bounds.delays:
        return run.with_options(name=name)
    return run.with_options(
        name=name,
        retries=len(bounds.delays),
        retry_delay_seconds=[*bounds.delays],
        retry_condition_fn=_is_fault,
    )


def _is_fault(_task: Any, _run: Any, state: State) -> bool:
    found = state.result(raise_on_failure=False)
    if isinstance(found, StepFault):
        say(f"a fault, no verdict: {found.message}")
        return True
    return False


@task(cache_policy=NO_CACHE, persist_result=False)
def _run_stage(
    workspace: Workspace, recipe: str, name: str, changed: bool, lock: int, until: float | None
) -> State:
    """Runs one stage through DVC; the state's name says what DVC did."""
    started = time.monotonic()
    did = Did.SKIPPED
    if changed:
        which = f"{name}@{recipe}"
        did = reproduce(workspace.root, which, _say_for(name), [lock], until=until)
    say(telling.ended(name, did, started))
    return Completed(name=_STATE_NAMES[did], message=did)


@task(cache_policy=NO_CACHE, persist_result=False)
def _run_command(
    workspace: Workspace, name: str, arguments: list[str], allowed: dict[int, str],
    lock: int | None, until: float | None,
) -> State:  # fmt: skip
    """Runs one `segtrail` command; the state's name is the one allowed for its exit code."""
    started = time.monotonic()
    held = [] if lock is None else [lock]
    done = process.run(own_command(arguments), workspace.root, _say_for(name), held, until=until)
    if done.too_late or (done.code and done.code not in allowed):
        raise as_error(done, name)
    what = allowed.get(done.code, "Completed")
    say(telling.ended(name, "done" if not done.code else what.lower(), started))
    return Completed(name=what)


def _say_for(name: str) -> Callable[[str], None]:
    """Returns a logger of a step's lines that works from the threads that read them."""
    logger = get_run_logger()

    def log(line: str) -> None:
        if told := telling.said_by(name, line):
            logger.info(told, extra={"segtrail": True, "step": name, "line": line.rstrip()})

    return log
