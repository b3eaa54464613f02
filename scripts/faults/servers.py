"""Servers that die, or give no answer."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.faults import state
from scripts.faults.bench import Bench
from scripts.faults.case import Case, Found, again, ends_as_fault
from scripts.faults.running import Running
from serving.launch import free_port


def _model_server_dies(bench: Bench, rng: random.Random) -> Found:
    with bench.serving() as first:
        run = bench.retrain()
        bench.wait_for(lambda: bench.processes_of("promote"), run)
        time.sleep(rng.uniform(0, bench.seconds["promote"]))
        first.kill()
        done = run.ends()
    problems = state.nothing_half_done(bench)
    with bench.serving():
        return again(bench, done, problems)


def _mlflow_dies(bench: Bench, rng: random.Random) -> Found:
    with _mlflow(bench) as server:
        run = bench.retrain()
        bench.wait_for(lambda: bench.processes_of("train"), run)
        time.sleep(rng.uniform(0.5, 1) * bench.seconds["train"])
        server.kill()
        done = run.ends()
    problems = ends_as_fault(done) if done.code else []
    with _mlflow(bench):
        return again(bench, done, problems)


def _mlflow_away(bench: Bench, rng: random.Random) -> Found:
    bench.variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    done = bench.retrain().ends()
    bench.variables = {}
    return again(bench, done, ends_as_fault(done))


def _prefect_dies(bench: Bench, rng: random.Random) -> Found:
    with _prefect(bench) as server:
        run = bench.retrain()
        bench.wait_for(lambda: bench.processes_of("transform"), run)
        server.kill()
        done = run.ends()
    bench.variables = {}
    return again(bench, done, ends_as_fault(done))


def _prefect_away(bench: Bench, rng: random.Random) -> Found:
    bench.variables = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    done = bench.retrain().ends()
    bench.variables = {}
    return again(bench, done, ends_as_fault(done))


@contextmanager
def _mlflow(bench: Bench) -> Iterator[Running]:
    port = free_port()
    store = f"sqlite:///{bench.root / 'mlflow.db'}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port),
        "--artifacts-destination", str(bench.root / "mlruns"), "--workers", "1",
    ]  # fmt: skip
    bench.variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with bench.server(command, port) as server:
        bench.variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        yield server


@contextmanager
def _prefect(bench: Bench) -> Iterator[Running]:
    port = free_port()
    bench.variables = {"PREFECT_HOME": str(bench.root / ".prefect")}
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--port", str(port)]
    with bench.server(command, port) as server:
        bench.variables |= {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        yield server


CASES = [
    Case("model-server", "the model server is killed during a promotion", _model_server_dies),
    Case("mlflow-dies", "the MLflow server is killed during `train`", _mlflow_dies),
    Case("mlflow-away", "the MLflow server gives no answer", _mlflow_away),
    Case("prefect-dies", "the Prefect server is killed during a run", _prefect_dies),
    Case("prefect-away", "the Prefect server gives no answer", _prefect_away),
]
