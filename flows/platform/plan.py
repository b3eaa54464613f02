"""What was started, and where: written before the servers start, read by whoever looks for them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from segtrail.errors import WorkspaceError
from segtrail.files import PRIVATE, write_text
from segtrail.settings.platform import Platform
from segtrail.workspace import Workspace

FILE = "platform.json"
# A Unix socket's path has at most 107 bytes (103 on macOS); supervisord adds a dot and its id.
_LONGEST_SOCKET = 90


@dataclass(frozen=True)
class Plan:
    """The servers of one workspace.

    Args:
        root: The workspace.
        settings: `platform` of `params.yaml` when they were started.
        socket: Where supervisord listens.
    """

    root: Path
    settings: Platform
    socket: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace.at(self.root)

    @property
    def host(self) -> str:
        """Where this machine reaches what listens on `settings.host`."""
        return "127.0.0.1" if self.settings.host == "0.0.0.0" else self.settings.host

    @property
    def prefect_api(self) -> str:
        return f"http://{self.host}:{self.settings.ports.prefect}/api"

    @property
    def mlflow(self) -> str:
        return f"http://{self.host}:{self.settings.ports.mlflow}"

    @property
    def serving(self) -> str:
        return f"127.0.0.1:{self.settings.ports.serving}"


def prepare(workspace: Workspace, settings: Platform) -> Plan:
    """Writes down what is about to be started."""
    folder = workspace.platform
    socket = folder / "supervisor.sock"
    if len(os.fsencode(socket)) > _LONGEST_SOCKET:
        socket = Path(tempfile.mkdtemp(prefix="segtrail-", dir="/tmp")) / "up.sock"
    said = {"root": str(workspace.root), "socket": str(socket),
            "settings": settings.model_dump(mode="json")}  # fmt: skip
    write_text(folder / FILE, json.dumps(said, indent=2) + "\n", PRIVATE)
    return Plan(workspace.root, settings, socket)


def make_folder(workspace: Workspace) -> None:
    """Makes the folder of the servers, private to this user.

    Raises:
        WorkspaceError: It cannot be written to.
    """
    folder = workspace.platform
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise WorkspaceError(
            f"{folder}: the servers' state and logs cannot be written there: {e.strerror}",
            f"make {folder.parent} writable for this user, or free some space on its disk",
        ) from None


def read(workspace: Workspace) -> Plan | None:
    """Returns what was started last and not taken down since; None if nothing was."""
    try:
        found = json.loads((workspace.platform / FILE).read_text(encoding="utf-8"))
        settings = Platform.model_validate(found["settings"])
        return Plan(Path(found["root"]), settings, Path(found["socket"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None  # what runs is found without it, and ended before it is started anew


def forget(workspace: Workspace) -> None:
    """Takes the plan away, once nothing of it runs."""
    if (plan := read(workspace)) is not None:
        plan.socket.unlink(missing_ok=True)
        if plan.socket.parent != workspace.platform:
            with contextlib.suppress(OSError):
                plan.socket.parent.rmdir()
    (workspace.platform / FILE).unlink(missing_ok=True)
