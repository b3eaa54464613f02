"""`segtrail up`, with the real servers on free loopback ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from platforms import get

from flows.platform import programs, remains, supervisor
from flows.platform.plan import Plan
from segtrail.errors import ConfigError
from segtrail.settings.platform import MLFLOW_VARIABLE, PREFECT_VARIABLE, Platform
from segtrail.workspace import Workspace


def may_ask(api: str, page: str) -> bool:
    """Whether a browser lets what comes from `page` ask Prefect."""
    request = urllib.request.Request(f"{api}/health", headers={"Origin": page})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.headers.get("Access-Control-Allow-Origin") in ("*", page)


def healthy(port: int) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            found = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        except grpc.RpcError:
            return False
    return found.status == health_pb2.HealthCheckResponse.SERVING


def examined(place) -> dict[str, str]:
    """What `segtrail doctor` says of the servers, by name: the state."""
    said = json.loads(place.segtrail("doctor", "--json").stdout)["sections"]["servers"]
    found = {each["what"].removeprefix("segtrail up: "): each["state"] for each in said}
    return {what.partition(" (")[0]: state for what, state in found.items()}


@pytest.mark.slow
def test_all_of_it_up_watched_and_down(places, tmp_path, patiently):
    place = places(tmp_path / "ws")
    said = place.up()
    assert "worker: healthy" in said
    assert "model server: waits for a first promotion" in said
    assert f"export PREFECT_API_URL={place.prefect}\n" in said
    assert get(f"{place.prefect}/health") == b"true"
    assert get(f"{place.mlflow}/health") == b"OK"
    assert may_ask(place.prefect, place.prefect.removesuffix("/api"))
    assert not may_ask(place.prefect, "http://elsewhere.example")
    for path in place.folder.iterdir():
        if path.name != "lock":
            assert path.stat().st_mode & 0o077 == 0, path
    assert place.folder.stat().st_mode & 0o077 == 0

    before = place.pids()
    os.kill(before["mlflow"], signal.SIGKILL)  # its uvicorn would keep the port
    patiently(lambda: place.pids()["mlflow"] not in (0, before["mlflow"]), 60)
    patiently(lambda: get(f"{place.mlflow}/health") == b"OK", 120)

    (place.root / "serving").mkdir()
    (place.root / "serving/models.config").write_text("")  # as a promotion leaves it
    patiently(lambda: healthy(place.ports["serving"]), 120)

    said = place.up()
    assert "it runs already" in said
    assert {n: p for n, p in place.pids().items() if n != "mlflow"} == {
        n: p for n, p in before.items() if n != "mlflow"
    }
    shown = place.segtrail("status").stdout.partition("\nserver ")[2].splitlines()
    assert [line.split()[:2] for line in shown[1:5]] == [
        [name, "healthy"] for name in programs.NAMES
    ]
    assert "mlflow  | " in place.segtrail("logs").stdout
    servers = examined(place)
    assert servers["Prefect"] == servers["Prefect server"] == servers["Prefect worker"] == "ok"
    assert servers["MLflow server"] == servers["model server"] == "ok"

    supervisor.stop(place.plan(), "mlflow")  # what has ended is in nobody's way
    assert examined(place)["MLflow server"] == "broken"
    assert place.segtrail("down").stdout == "stopped\n"
    assert place.listening() == []
    assert place.left() == []
    assert place.segtrail("down").stdout == "nothing was running\n"
    assert "servers: none" in place.segtrail("status").stdout


@pytest.mark.slow
def test_training_and_the_server_share_mlflow_s_store(places, tmp_path):
    place = places(tmp_path / "ws")
    workspace = Workspace(place.root, place.root)
    place.up()
    script = """
import sys
from pathlib import Path
from lineage import mlflow_record
from mlflow import MlflowClient
from segtrail.workspace import Workspace
workspace, server = Workspace.at(Path.cwd()), MlflowClient(sys.argv[1])
mine = mlflow_record.client(workspace)
experiment = mlflow_record.experiment(mine, workspace, "demo")
for number in range(20):
    run = mine.create_run(experiment)
    mine.log_metric(run.info.run_id, "loss", number)
    assert server.get_run(run.info.run_id).data.metrics == {"loss": number}
    server.log_metric(run.info.run_id, "more", number)
    assert mine.get_run(run.info.run_id).data.metrics["more"] == number
mine.log_text(run.info.run_id, "a picture", "samples.txt")
print(run.info.run_id)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, place.mlflow], cwd=place.root, env=place.env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = done.stdout.split()[-1]
    # what its pages show comes by this
    assert get(f"{place.mlflow}/get-artifact?path=samples.txt&run_uuid={run}") == b"a picture"
    assert (workspace.home / "mlflow.db").is_file()


@pytest.mark.slow
def test_a_killed_supervisor_on_a_path_too_long_for_a_socket(places, tmp_path):
    place = places(tmp_path / ("long" * 20) / ("path" * 20) / "with % and ; in it")
    place.up()
    before = place.pids()
    watching = int((place.folder / "supervisord.pid").read_text())
    os.kill(watching, signal.SIGKILL)
    said = place.segtrail("doctor")
    assert "its supervisor is dead" in said.stdout
    assert said.stdout.splitlines()[-1].startswith("Next: segtrail up")
    assert said.returncode == 1
    assert "ended what a supervisor that was killed left behind" in place.up()
    assert not any(psutil.pid_exists(pid) for pid in before.values())
    assert get(f"{place.prefect}/health") == b"true"

    watching = int((place.folder / "supervisord.pid").read_text())
    os.kill(watching, signal.SIGKILL)
    assert place.segtrail("down").stdout == "stopped\n"
    assert (place.listening(), place.left()) == ([], [])


@pytest.mark.slow
def test_in_the_foreground_until_sigterm(places, tmp_path, work_beside, patiently):
    place = places(tmp_path / "ws")
    command = [sys.executable, "-m", "cli", "up", "--foreground"]
    log = tmp_path / "up.log"
    with work_beside(command, log, place.env, place.root) as process:
        patiently(lambda: "Ctrl-C stops it all" in log.read_text(), 240)
        assert get(f"{place.mlflow}/health") == b"OK"
        again = place.segtrail("up", "--foreground")
        assert again.returncode == 1
        assert "it runs already" in again.stderr
        process.terminate()
        process.wait(120)
    assert (place.listening(), place.left()) == ([], [])


@pytest.mark.slow
def test_a_run_goes_to_the_server_that_is_up_and_is_cancelled_with_it(small, places, patiently):
    place = places(small.root, code=small.root)
    small.git("commit", "-qam", "Ports")
    place.up()

    done = place.segtrail("retrain", "--recipe", "demo")
    assert done.returncode == 0, done.stderr
    done = place.segtrail("deploy", "--recipe", "demo")
    assert done.returncode == 0, done.stderr
    assert "start a worker" not in done.stdout
    clone = small.root / ".segtrail/workers/demo/.segtrail"
    clone.mkdir(exist_ok=True)
    (clone / "train.do").write_text("hang")
    small.set_param("recipes.demo.training.steps", 17)
    run = "prefect", "deployment", "run", "retrain/demo"
    small.do(sys.executable, "-m", *run, PREFECT_API_URL=place.prefect)
    patiently(lambda: (clone / "train.pid").exists(), 240)

    done = place.segtrail("down")
    assert done.stdout.startswith("cancels the run retrain-demo"), done.stdout + done.stderr
    assert (place.listening(), place.left()) == ([], [])
    assert not psutil.pid_exists(int((clone / "train.pid").read_text()))
    with contextlib.closing(sqlite3.connect(small.root / ".prefect/prefect.db")) as database:
        found = database.execute("SELECT state_type FROM flow_run ORDER BY created").fetchall()
    assert found == [("COMPLETED",), ("CANCELLED",)]


def test_a_busy_port_is_told_before_anything_starts(places, tmp_path):
    place = places(tmp_path / "ws")
    with socket.create_server(("127.0.0.1", place.ports["mlflow"])):
        done = place.segtrail("up")
    assert done.returncode == 1
    assert f"port {place.ports['mlflow']} of the MLflow server is taken" in done.stderr
    assert f"by process {os.getpid()} (" in done.stderr
    assert "set platform.ports.mlflow in params.yaml" in done.stderr
    assert place.left() == []


def test_a_folder_that_cannot_be_made(places, tmp_path):
    place = places(tmp_path / "ws")
    (place.root / ".segtrail").write_text("not a folder")
    done = place.segtrail("up")
    assert done.returncode == 1
    assert "the servers' state and logs cannot be written there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_server_that_cannot_start_is_told_with_its_log(places, tmp_path):
    place = places(tmp_path / "ws")
    (place.root / "mlflow.db").write_text("no database")
    done = place.segtrail("up")
    assert done.returncode == 1
    assert "the MLflow server does not get healthy (FATAL)" in done.stderr
    assert "file is not a database" in done.stderr
    assert get(f"{place.prefect}/health") == b"true"

    (place.root / "mlflow.db").unlink()
    assert "starts the MLflow server, which had ended" in place.up()


def a_plan(folder: Path, **settings: object) -> Plan:
    return Plan(folder, Platform.model_validate(settings), folder / "up.sock")


def test_a_database_s_password_goes_only_where_it_is_needed(tmp_path, monkeypatch):
    given = {"PREFECT_DB": "postgresql+asyncpg://a:pw-one@h/p", "MLFLOW_DB": "sqlite:///pw-two"}
    for name, value in {**given, "SEGTRAIL_KEY_PASSPHRASE": "pw-three"}.items():
        monkeypatch.setenv(name, value)
    found = a_plan(tmp_path, prefect_database="PREFECT_DB", mlflow_database="MLFLOW_DB")
    knows = {
        name: {s for s in ("pw-one", "pw-two", "pw-three") if s in json.dumps(environment)}
        for name in programs.NAMES
        if (environment := programs.environment(found, name))
    }
    assert knows == {
        "prefect": {"pw-one"},
        "mlflow": {"pw-two"},
        "serving": set(),
        "worker": {"pw-three"},
    }
    assert programs.environment(found, "mlflow")[MLFLOW_VARIABLE] == "sqlite:///pw-two"
    assert programs.environment(found, "prefect")[PREFECT_VARIABLE] == given["PREFECT_DB"]
    said = supervisor.configuration(found, 0o22) + json.dumps(
        [programs.command(found, name) for name in programs.NAMES]
    )
    assert not [each for each in ("one@", "two", "three") if each in said]


def test_runs_use_the_server_where_the_store_is_not_the_workspace_s(tmp_path):
    mine, other = a_plan(tmp_path), a_plan(tmp_path, artifacts="s3://bucket/mlflow")
    assert not programs.needs_server(mine, {})
    assert programs.needs_server(other, {})
    assert programs.needs_server(mine, {MLFLOW_VARIABLE: "postgresql://h/m"})
    assert programs.environment(other, "worker", {})["MLFLOW_TRACKING_URI"] == other.mlflow
    assert "MLFLOW_TRACKING_URI" not in programs.environment(mine, "worker", {})
    assert programs.command(other, "mlflow")[-1] == "s3://bucket/mlflow"


@pytest.mark.parametrize(
    ("settings", "given", "says"),
    [
        ({"mlflow_database": "MINE"}, {}, "the environment variable MINE is not set"),
        ({}, {PREFECT_VARIABLE: "postgresql://a:secret@h/p"}, "begins with postgresql+asyncpg://"),
        ({}, {MLFLOW_VARIABLE: "secret"}, "begins with postgresql://"),
    ],
)
def test_a_wrong_database_is_told_without_its_password(tmp_path, settings, given, says):
    with pytest.raises(ConfigError) as e:
        programs.check_databases(a_plan(tmp_path, **settings), given)
    assert says in str(e.value)
    assert "secret" not in str(e.value)


def test_a_process_is_known_by_its_mark_alone(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(100)"]
    env = {**os.environ, **remains.mark("worker", tmp_path)}
    other = {**os.environ, **remains.mark("worker", tmp_path / "another")}
    with subprocess.Popen(command, env=env) as mine, subprocess.Popen(command, env=other) as its:
        try:
            end = time.monotonic() + 30
            while not remains.find(tmp_path) and time.monotonic() < end:
                time.sleep(0.05)
            assert remains.end(tmp_path, ("worker",)) == 1
            mine.wait(10)
            assert its.poll() is None
        finally:
            mine.kill()
            its.kill()


def test_a_log_is_followed_into_the_file_after_it(places, tmp_path, work_beside, patiently):
    place = places(tmp_path / "ws")
    assert "no log of mlflow" in place.segtrail("logs", "mlflow").stderr
    assert "expected one of prefect, mlflow" in place.segtrail("logs", "mflow").stderr
    place.folder.mkdir(parents=True, exist_ok=True)
    log, said = place.folder / "mlflow.log", tmp_path / "said"
    log.write_text("one\ntwo\n")
    command = [sys.executable, "-m", "cli", "logs", "mlflow", "--follow"]
    with work_beside(command, said, place.env, place.root):
        patiently(lambda: said.read_text() == "one\ntwo\n", 60)
        with log.open("a") as f:
            f.write("thr")
            f.flush()
            f.write("ee\n")
        patiently(lambda: said.read_text().endswith("three\n"), 60)
        log.rename(place.folder / "mlflow.log.1")  # as supervisord does
        log.write_text("four\n")
        patiently(lambda: said.read_text() == "one\ntwo\nthree\nfour\n", 60)
