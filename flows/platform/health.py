"""Whether a server answers what only a healthy one answers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable

from flows.platform import programs
from flows.platform.plan import Plan

_ASK_S = 2.0
WAITS = "waits for a first promotion"


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 200."""
    try:
        with _direct().open(url, timeout=_ASK_S) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def of(plan: Plan, name: str) -> str:
    """Returns `healthy`, what the server waits for, or nothing while it does not answer."""
    if name == programs.SERVING and not plan.workspace.models_config.is_file():
        return WAITS
    ask: dict[str, Callable[[Plan], bool]] = {
        programs.PREFECT: lambda plan: answers(f"{plan.prefect_api}/health"),
        programs.MLFLOW: lambda plan: answers(f"{plan.mlflow}/health"),
        programs.WORKER: _worker,
        programs.SERVING: _serving,
    }
    return "healthy" if ask[name](plan) else ""


def _worker(plan: Plan) -> bool:
    """Whether Prefect has heard of the worker lately."""
    url = f"{plan.prefect_api}/work_pools/{programs.POOL}/workers/filter"
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
    try:
        with _direct().open(request, timeout=_ASK_S) as answer:
            found = json.load(answer)
        mine = [each for each in found if each["name"] == programs.worker_name(plan)]
        return any(each["status"] == "ONLINE" for each in mine)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _serving(plan: Plan) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(plan.serving, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            found = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="ModelService"), timeout=_ASK_S
            )
        except grpc.RpcError:
            return False
    return bool(found.status == health_pb2.HealthCheckResponse.SERVING)


def _direct() -> urllib.request.OpenerDirector:
    """Returns an opener that asks no proxy: the servers are on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
