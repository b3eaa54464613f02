"""Part of the section `servers`: `segtrail up`, Prefect with its workers, and MLflow."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flows.doctor.findings import Finding, State, ok
from flows.doctor.here import Here
from flows.environment import standing_server
from flows.platform import health, plan, programs, remains, service
from segtrail.secrets import without_password
from segtrail.workspace import HOME_VARIABLE, Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_ASK_S = 3.0
_STARTS = ("starting", "ended, starts again")


def of_up(here: Here) -> Iterator[Finding]:
    """Tells how the servers of `segtrail up` are."""
    workspace = here.workspace
    found = service.running(workspace)
    if found is None:
        left = remains.find(workspace.platform)
        if plan.read(workspace) is None and not left:
            yield Finding(State.NOT_SET_UP, "segtrail up: not started", "segtrail up")
            return
        rest = f"; {len(left)} of its processes are left" if left else ""
        yield Finding(
            State.BROKEN,
            f"segtrail up: its supervisor is dead, it was killed or the machine started anew{rest}",
            "segtrail up   (or, to do without: segtrail down)",
        )
        return
    for server in service.servers(found):
        what = f"segtrail up: {programs.TITLES[server.name]} ({server.address}): {server.state}"
        if server.state == "healthy":
            yield ok(what)
        elif server.state == health.WAITS:
            yield Finding(State.NOT_SET_UP, what, "segtrail retrain --recipe NAME")
        elif server.state in _STARTS:
            yield Finding(State.WARNING, what, f"segtrail logs {server.name}")
        else:
            yield Finding(State.BROKEN, what, f"segtrail up   (why: segtrail logs {server.name})")


def prefect(here: Here) -> Iterator[Finding]:
    """Tells whether Prefect answers, and whether a worker is there for each deployment."""
    said = standing_server(here.workspace)
    if said is None:
        yield Finding(
            State.NOT_SET_UP,
            "Prefect: no server is named (PREFECT_API_URL); each retrain brings one of its own",
            "segtrail up",
        )
        return
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = said.get("PREFECT_API_URL") or PREFECT_API_URL.value()
    if not url:
        yield Finding(State.NOT_SET_UP, "Prefect: the profile names no server", "segtrail up")
        return
    name = f"Prefect ({without_password(url)})"
    with (
        temporary_settings({PREFECT_API_URL: url}),
        get_client(httpx_settings={"timeout": _ASK_S}, sync_client=True) as client,
    ):
        if (failure := client.api_healthcheck()) is not None:
            yield Finding(
                State.BROKEN,
                f"{name} does not answer: {without_password(' '.join(str(failure).split()))[:200]}",
                "segtrail up   (or start that server; or: unset PREFECT_API_URL)",
            )
            return
        yield ok(f"{name} answers")
        yield from _workers(client, here.workspace)


def _workers(client: SyncPrefectClient, workspace: Workspace) -> Iterator[Finding]:
    """Tells for the deployments of this workspace whether somebody will run them."""
    flows = {flow.id: flow.name for flow in client.read_flows()}
    pools: dict[str, list[str]] = {}
    for each in client.read_deployments():
        home = (each.job_variables or {}).get("env", {}).get(HOME_VARIABLE)
        if home == str(workspace.home) and each.work_pool_name:
            pools.setdefault(each.work_pool_name, []).append(
                f"{flows.get(each.flow_id)}/{each.name}"
            )
    for pool, names in sorted(pools.items()):
        workers = client.read_workers_for_work_pool(pool)
        alive = [each.name for each in workers if str(each.status).endswith("ONLINE")]
        of = f"{', '.join(sorted(names))} (pool {pool})"
        if alive:
            yield ok(f"{of}: {len(alive)} worker(s)")
            continue
        start = "segtrail up" if pool == programs.POOL else f"prefect worker start --pool {pool}"
        yield Finding(State.WARNING, f"{of}: no worker is alive, so nothing of it runs", start)


def mlflow(here: Here) -> Iterator[Finding]:
    """Tells whether MLflow's store is there, or its server answers."""
    uri = here.workspace.mlflow_uri
    if not uri.startswith("http"):
        path = here.workspace.home / "mlflow.db"
        if os.environ.get("MLFLOW_TRACKING_URI"):
            yield ok(f"MLflow: {without_password(uri)}, not asked")
        elif path.exists():
            yield ok(f"MLflow: {path}")
        else:
            what = "MLflow: no mlflow.db yet; the first training makes it"
            yield Finding(State.NOT_SET_UP, what, "segtrail retrain --recipe NAME")
        return
    address = without_password(uri).rstrip("/")  # a refusal is an answer, too
    name = f"MLflow ({address})"
    try:
        urllib.request.urlopen(f"{address}/health", timeout=_ASK_S).close()
    except urllib.error.HTTPError as e:
        if e.code >= 500:
            yield Finding(State.BROKEN, f"{name} answers HTTP {e.code}", "look into its log")
            return
    except (OSError, ValueError) as e:
        yield Finding(
            State.BROKEN,
            f"{name} does not answer: {getattr(e, 'reason', e)}",
            "segtrail up   (or start that server; or: unset MLFLOW_TRACKING_URI)",
        )
        return
    yield ok(f"{name} answers")


CHECKS = (of_up, prefect, mlflow)
