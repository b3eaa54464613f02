"""The command line and the environment of each server. No password is on a command line."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Callable, Mapping

from flows.environment import child_environment
from flows.platform.plan import Plan
from segtrail.errors import ConfigError
from segtrail.secrets import without_secrets
from segtrail.settings.platform import MLFLOW_VARIABLE, PREFECT_VARIABLE
from segtrail.workspace import HOME_VARIABLE

PREFECT, MLFLOW, SERVING, WORKER = "prefect", "mlflow", "serving", "worker"
NAMES = (PREFECT, MLFLOW, SERVING, WORKER)  # as they start; they stop the other way round
TITLES = {
    PREFECT: "Prefect server",
    MLFLOW: "MLflow server",
    SERVING: "model server",
    WORKER: "Prefect worker",
}
POOL = "segtrail"
_TRACKING = "MLFLOW_TRACKING_URI"


def command(plan: Plan, name: str) -> list[str]:
    """Returns the command line of a server."""
    ports, host = plan.settings.ports, plan.settings.host
    module, arguments = {
        PREFECT: ("prefect", ["server", "start", "--host", host, "--port", str(ports.prefect)]),
        WORKER: ("prefect", ["worker", "start", "--pool", POOL, "--type", "process",
                             "--name", worker_name(plan)]),
        MLFLOW: ("mlflow", ["server", "--host", host, "--port", str(ports.mlflow), "--workers",
                            "1", "--artifacts-destination", _artifacts(plan)]),
        SERVING: ("cli", ["serve", "--port", str(ports.serving), "--",
                          "--enable_grpc_healthcheck_service=true"]),
    }[name]  # fmt: skip
    return [sys.executable, "-m", module, *arguments]


def environment(plan: Plan, name: str, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the environment of a server: the databases' addresses only where they are needed.

    Args:
        plan: What is started.
        name: One of `NAMES`.
        given: The environment that `segtrail up` was called in.
    """
    home, settings = plan.workspace.home, plan.settings
    hidden = {settings.prefect_database, settings.mlflow_database, PREFECT_VARIABLE,
              MLFLOW_VARIABLE, "PREFECT_API_URL", _TRACKING}  # fmt: skip
    env = {**child_environment(plan.root), HOME_VARIABLE: str(home)}
    env = {key: value for key, value in env.items() if key not in hidden}
    env.setdefault("PREFECT_HOME", str(home / ".prefect"))
    if name == PREFECT:
        # Without a password, so pages of other sites must not speak to it through a browser.
        own = [f"http://{host}:{settings.ports.prefect}" for host in (plan.host, "localhost")]
        env.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", ",".join(own))
    if name == PREFECT and (database := given.get(settings.prefect_database)):
        env[PREFECT_VARIABLE] = database
    if name == MLFLOW:
        env[MLFLOW_VARIABLE] = _mlflow_store(plan, given)
    if name == WORKER:
        env["PREFECT_API_URL"] = plan.prefect_api
        if uri := (plan.mlflow if needs_server(plan, given) else given.get(_TRACKING)):
            env[_TRACKING] = uri
        return env
    return without_secrets(env)


def needs_server(plan: Plan, given: Mapping[str, str] = os.environ) -> bool:
    """Whether runs reach MLflow's store through the server alone, not by the workspace's files."""
    elsewhere = given.get(plan.settings.mlflow_database) or plan.settings.artifacts
    return bool(elsewhere) and not given.get(_TRACKING)


def worker_name(plan: Plan) -> str:
    """Returns a name of its own: several workers may share a database."""
    place = hashlib.sha256(os.fsencode(plan.workspace.home)).hexdigest()[:8]
    return f"{socket.gethostname()}-{place}"


def check_databases(plan: Plan, given: Mapping[str, str] = os.environ) -> None:
    """Refuses what would only be found out by a server that ends; never repeats an address.

    Raises:
        ConfigError: A variable that `params.yaml` names is not set, an address is of another
            kind, or a driver is not installed.
    """
    from importlib.util import find_spec

    settings = plan.settings
    for key, usual, starts in (
        ("prefect_database", PREFECT_VARIABLE, ("postgresql+asyncpg://", "sqlite+aiosqlite://")),
        ("mlflow_database", MLFLOW_VARIABLE, ("postgresql://", "postgresql+", "sqlite://")),
    ):
        name = getattr(settings, key)
        found = given.get(name)
        if not found and name != usual:
            raise ConfigError(
                f"platform.{key}: the environment variable {name} is not set",
                f"export {name}=...   (or leave platform.{key} out, for SQLite)",
            )
        if found and not found.startswith(starts):
            raise ConfigError(f"{name}: expected an address that begins with {' or '.join(starts)}")
    modules: dict[str, Callable[[], bool]] = {
        "psycopg2": lambda: (given.get(settings.mlflow_database) or "").startswith("postgresql://"),
        "boto3": lambda: settings.artifacts is not None,
    }
    extras = {"psycopg2": "postgres", "boto3": "remotes"}
    for module, is_needed in modules.items():
        if is_needed() and find_spec(module) is None:
            raise ConfigError(
                f"the MLflow server needs {module}, which is not installed",
                f"pip install 'segtrail[{extras[module]}]'",
            )


def _artifacts(plan: Plan) -> str:
    return plan.settings.artifacts or plan.workspace.mlflow_artifacts.as_uri()


def _mlflow_store(plan: Plan, given: Mapping[str, str]) -> str:
    if database := given.get(plan.settings.mlflow_database):
        return database
    tracking = given.get(_TRACKING) or ""
    if tracking and not tracking.startswith("http"):
        return tracking  # what training writes to
    return f"sqlite:///{plan.workspace.home / 'mlflow.db'}"
