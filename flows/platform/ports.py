"""Whether the servers' ports are free, told before anything starts."""

from __future__ import annotations

import contextlib
import socket

from flows.platform.plan import Plan
from flows.platform.programs import MLFLOW, PREFECT, SERVING, TITLES
from segtrail.errors import ConfigError, StageError


def check(plan: Plan) -> None:
    """Refuses a port that somebody else listens on.

    Raises:
        StageError: Names the port, who has it, and the option to change.
        ConfigError: This machine has no such address.
    """
    ports, host = plan.settings.ports, plan.settings.host
    wanted = {PREFECT: (host, ports.prefect), MLFLOW: (host, ports.mlflow)}
    for name, (address, port) in {**wanted, SERVING: ("127.0.0.1", ports.serving)}.items():
        try:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((address, port))
        except PermissionError:
            raise ConfigError(
                f"platform.ports.{name}: port {port} is for administrators; expected 1024 or more"
            ) from None
        except socket.gaierror:
            raise ConfigError(f"platform.host: this machine has no address {address!r}") from None
        except OSError as e:
            if not _listener(port) and not _answers(port):
                raise ConfigError(
                    f"platform.host: {address!r}, port {port}: {e.strerror}"
                ) from None
            raise StageError(
                f"port {port} of the {TITLES[name]} is taken{_listener(port)}",
                f"end that, or set platform.ports.{name} in params.yaml to another port",
            ) from None


def _answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _listener(port: int) -> str:
    """Returns who listens, as far as this user may know."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                name = f" ({psutil.Process(each.pid).name()})" if each.pid else ""
                return f" by process {each.pid or 'of another user'}{name}"
    return ""
