"""The environment of the processes that a flow starts, and of Prefect itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from segtrail import telemetry
from segtrail.workspace import Workspace

RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"  # Prefect's own, of all processes of a deployed run


def child_environment(root: Path) -> dict[str, str]:
    """Returns the environment of a stage's process.

    The workspace's own code comes first on the path, also where another checkout is installed,
    and `segtrail` is found whether or not the virtual environment is activated.
    """
    env = {**telemetry.OFF, **os.environ}
    env["PYTHONPATH"] = _before(str(root), env.get("PYTHONPATH"))
    env["PATH"] = _before(str(Path(sys.executable).parent), env.get("PATH", os.defpath))
    env["PYTHONUNBUFFERED"] = "1"
    env["SHELL"] = "/bin/sh"  # DVC runs a stage's command with it
    return env


def _before(first: str, rest: str | None) -> str:
    others = [part for part in (rest or "").split(os.pathsep) if part and part != first]
    return os.pathsep.join([first, *others])


def prefect_environment(workspace: Workspace) -> dict[str, str]:
    """Returns what Prefect needs to be told before it is imported.

    Without a standing server a temporary one starts for the run and keeps its history in
    `<workspace>/.prefect`; what it does not need there is left off, which halves its start.
    """
    if (standing := standing_server(workspace)) is not None:
        return standing
    return {
        "PREFECT_HOME": str(workspace.home / ".prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def standing_server(workspace: Workspace) -> dict[str, str] | None:
    """Returns what leads to a Prefect server of one's own, or to that of `segtrail up`.

    Returns:
        Empty where the environment names a server already; None where there is none.
    """
    if os.environ.get("PREFECT_API_URL") or os.environ.get("PREFECT_PROFILE"):
        return {}
    home = os.environ.get("PREFECT_HOME")
    if url := platform_server(workspace):
        return {"PREFECT_HOME": home or str(workspace.home / ".prefect"), "PREFECT_API_URL": url}
    return {} if home else None


def platform_server(workspace: Workspace) -> str | None:
    """Returns the address of the Prefect server of `segtrail up`; None where it does not answer."""
    from flows.platform import health, programs, service

    plan = service.running(workspace)
    if plan is None or not health.of(plan, programs.PREFECT):
        return None
    return plan.prefect_api
