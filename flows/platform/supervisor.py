"""supervisord: its configuration, its start, and what it is asked over its Unix socket."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.environment import child_environment
from flows.platform import child, programs, remains
from flows.platform.plan import Plan
from segtrail.errors import StageError
from segtrail.files import PRIVATE, write_text

CONFIG, LOG = "supervisord.conf", "supervisord.log"
_STOP_S = {programs.WORKER: 60, programs.SERVING: 40}  # the model server drains for 30
_RPC = "http://localhost/RPC2"  # the socket is the plan's


@dataclass(frozen=True)
class State:
    """What supervisord says of a server: RUNNING, STARTING, BACKOFF, FATAL, STOPPED or EXITED."""

    name: str
    says: str
    pid: int


def log_of(folder: Path, name: str) -> Path:
    """Returns where a server's output goes; older parts have `.1` and so on added."""
    return folder / f"{name}.log"


def configuration(plan: Plan, umask: int) -> str:
    """Returns supervisord's configuration.

    It is run in its folder: a file's name needs no quotes, and no `%` of a path is expanded, in
    whose error message supervisord would show the whole environment.

    Args:
        plan: What to start.
        umask: That of the servers; supervisord's own files are private.
    """
    python = shlex.quote(sys.executable).replace("%", "%%")
    folder = plan.workspace.platform
    socket_name = plan.socket.name if plan.socket.parent == folder else str(plan.socket)
    parts = [
        "[supervisord]\n"
        f"logfile={LOG}\n"
        "logfile_maxbytes=5MB\nlogfile_backups=2\n"
        "pidfile=supervisord.pid\n"
        "umask=077\nstrip_ansi=true\nminfds=256\n",
        f"[unix_http_server]\nfile={socket_name}\nchmod=0600\n",
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
    ]
    for priority, name in enumerate(programs.NAMES, 1):  # the highest is stopped first
        parts.append(
            f"[program:{name}]\n"
            f"command={python} -m {child.__name__} {name}\n"
            f"priority={priority}\n"
            f"stdout_logfile={log_of(folder, name).name}\n"
            "stdout_logfile_maxbytes=10MB\nstdout_logfile_backups=3\nredirect_stderr=true\n"
            "autorestart=true\nstartsecs=20\nstartretries=3\n"
            f"stopwaitsecs={_STOP_S.get(name, 20)}\nkillasgroup=true\n"
            f"umask={umask:03o}\n"
        )
    return "\n".join(parts)


def start(plan: Plan) -> None:
    """Starts supervisord in the background, and with it all servers.

    Raises:
        StageError: It does not start.
    """
    folder = plan.workspace.platform
    os.umask(umask := os.umask(0o077))
    write_text(folder / CONFIG, configuration(plan, umask), PRIVATE)
    env = {**child_environment(plan.root), **remains.mark(remains.SUPERVISOR, folder)}
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", CONFIG]
    done = subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        umask=0o077, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).partition("\n")[0].partition("{")[0].strip()
        raise StageError(f"supervisord did not start: {said}", f"see {folder / LOG}")


def runs(plan: Plan) -> bool:
    """Whether the supervisor of this plan listens on its socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        try:
            s.connect(str(plan.socket))
        except OSError:
            return False
        return True


def states(plan: Plan) -> dict[str, State]:
    """Returns the state of each server.

    Raises:
        OSError: No supervisor listens.
    """
    with _asked(plan) as supervisor:
        return {
            each["name"]: State(each["name"], each["statename"], each["pid"])
            for each in supervisor.getAllProcessInfo()
        }


def start_again(plan: Plan, name: str) -> None:
    """Starts a server that has ended or given up."""
    with _asked(plan) as supervisor:
        supervisor.startProcess(name, False)


def stop(plan: Plan, name: str) -> None:
    """Asks one server to end, and kills it where it does not; waits for that."""
    with _asked(plan) as supervisor:
        supervisor.stopProcess(name, True)


def shut_down(plan: Plan) -> None:
    """Asks the supervisor to stop all servers, the last started first, and to end."""
    with _asked(plan) as supervisor:
        supervisor.shutdown()


@contextlib.contextmanager
def _asked(plan: Plan) -> Iterator[Any]:
    from xmlrpc.client import Error, ServerProxy

    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{plan.socket}")
    try:
        with ServerProxy(_RPC, transport) as proxy:
            yield proxy.supervisor
    except Error as e:
        raise StageError(f"supervisord: {e}") from None
