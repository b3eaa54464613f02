"""Starts the servers of a workspace, waits until they are healthy, and stops them."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.platform import health, plan, ports, programs, remains, runs, supervisor
from flows.platform.plan import Plan
from flows.platform.programs import NAMES, TITLES
from segtrail.errors import StageError
from segtrail.lock import alone
from segtrail.progress import say
from segtrail.settings.platform import Platform
from segtrail.workspace import Workspace

HEALTHY_S = 300.0
_POLL_S = 0.5
_LAST_LINES = 8
_ENDED = ("FATAL", "EXITED", "STOPPED")
_ORDER = tuple(reversed(NAMES))


@dataclass(frozen=True)
class Server:
    """How one server is.

    Args:
        name: One of `programs.NAMES`.
        state: `healthy`, what it waits for, or what supervisord says of it.
        address: Where it listens; of the worker the pool.
        log: What it says.
    """

    name: str
    state: str
    address: str
    log: Path


def up(workspace: Workspace, settings: Platform) -> Plan:
    """Starts what does not run, and waits until all is healthy.

    Raises:
        StageError: A port is taken, or a server does not get healthy.
        ConfigError: A database's variable is not set, or wrong.
        WorkspaceError: `.segtrail/up` cannot be written to.
    """
    with _alone(workspace):
        found = running(workspace)
        if found is None:
            found = _start(workspace, settings)
        else:
            _complete(found, settings)
        _wait(found)
    return found


@contextlib.contextmanager
def foreground(workspace: Workspace, settings: Platform) -> Iterator[Plan]:
    """Like `up`; after the block stays until Ctrl-C or SIGTERM, and then stops everything.

    Raises:
        StageError: It runs already; also see `up`.
    """
    if running(workspace) is not None:
        raise StageError(
            "it runs already, in the background", "segtrail logs --follow   (or: segtrail down)"
        )
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        found = up(workspace, settings)
        yield found
        while supervisor.runs(found):
            time.sleep(_POLL_S)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        down(workspace)


def running(workspace: Workspace) -> Plan | None:
    """Returns the servers of this workspace that a supervisor watches now, or None."""
    found = plan.read(workspace)
    return found if found is not None and supervisor.runs(found) else None


def servers(found: Plan) -> list[Server]:
    """Returns how each server is."""
    folder = found.workspace.platform
    states = supervisor.states(found)
    address = {
        programs.PREFECT: found.prefect_api.removesuffix("/api"),
        programs.MLFLOW: found.mlflow,
        programs.SERVING: found.serving,
        programs.WORKER: f"pool {programs.POOL}",
    }
    return [
        Server(name, _state(found, name, states), address[name], supervisor.log_of(folder, name))
        for name in NAMES
    ]


def down(workspace: Workspace) -> bool:
    """Stops everything, the worker first, whose runs are cancelled before.

    Returns:
        Whether anything was there to stop.
    """
    with _alone(workspace):
        found = running(workspace)
        if found is not None:
            if supervisor.states(found)[programs.WORKER].pid:
                runs.cancel(found, say)
                supervisor.stop(found, programs.WORKER)
            supervisor.shut_down(found)
            while supervisor.runs(found):
                time.sleep(_POLL_S)
        ended = remains.end(workspace.platform, _ORDER)
        plan.forget(workspace)
    return bool(found or ended)


def _alone(workspace: Workspace) -> contextlib.AbstractContextManager[None]:
    plan.make_folder(workspace)
    return alone(
        workspace.platform / "lock", "another segtrail up or down is at work in this workspace"
    )


def _start(workspace: Workspace, settings: Platform) -> Plan:
    if ended := remains.end(workspace.platform, _ORDER):
        say(f"ended what a supervisor that was killed left behind: {ended} processes")
    plan.forget(workspace)
    wanted = Plan(workspace.root, settings, workspace.platform)
    programs.check_databases(wanted)
    ports.check(wanted)
    found = plan.prepare(workspace, settings)
    say(f"starts {', '.join(TITLES[name] for name in NAMES)}; logs: {workspace.platform}")
    supervisor.start(found)
    return found


def _complete(found: Plan, settings: Platform) -> None:
    say("it runs already")
    if settings != found.settings:
        say("platform in params.yaml has changed since: segtrail down, then segtrail up")
    for name, state in supervisor.states(found).items():
        if state.says in _ENDED:
            say(f"starts the {TITLES[name]}, which had ended")
            supervisor.start_again(found, name)


def _wait(found: Plan) -> None:
    started, missing = time.monotonic(), list(NAMES)
    while missing:
        states = supervisor.states(found)
        for name in list(missing):
            state = _state(found, name, states)
            if state in ("healthy", health.WAITS):
                missing.remove(name)
                say(f"  {TITLES[name]}: {state}, after {time.monotonic() - started:.0f} s")
            elif states[name].says == "FATAL" or time.monotonic() - started > HEALTHY_S:
                _fail(found, name, states[name].says)
        if missing:
            time.sleep(_POLL_S)


def _fail(found: Plan, name: str, state: str) -> None:
    log = supervisor.log_of(found.workspace.platform, name)
    lines = list(last_lines(log, _LAST_LINES))
    raise StageError(
        "\n".join([f"the {TITLES[name]} does not get healthy ({state}); {log} ends with:",
                   *(f"  | {line}" for line in lines)]),
        "mend that and run segtrail up again; segtrail down stops the others",
    )  # fmt: skip


def last_lines(log: Path, count: int) -> list[str]:
    """Returns the last lines of a log; none where there is none."""
    try:
        with open(log, "rb") as f:
            f.seek(max(0, f.seek(0, 2) - (1 << 18)))
            return f.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def _state(found: Plan, name: str, states: Mapping[str, supervisor.State]) -> str:
    says = states[name].says
    if says in ("RUNNING", "STARTING"):
        return health.of(found, name) or "starting"
    return {"BACKOFF": "ended, starts again", "FATAL": "gave up"}.get(says, says.lower())
