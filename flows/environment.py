"""The environment of the processes that a flow starts, and of Prefect itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from segtrail import telemetry
from segtrail.workspace import Workspace

PREFECT_PLACES = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE")


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

    Without a server of one's own, a temporary one starts for the run and keeps its history in
    `<workspace>/.prefect`; what it does not need there is left off, which halves its start.
    """
    if any(os.environ.get(name) for name in PREFECT_PLACES):
        return {}
    return {
        "PREFECT_HOME": str(workspace.home / ".prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
