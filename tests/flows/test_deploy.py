"""A deployment, with a real Prefect server and a real worker on loopback ports."""

import json
import sys

import pytest

SCRIPT = """
import sys
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    found = client.read_deployment_by_name("retrain/demo")
    if sys.argv[1] == "show":
        print(found.model_dump_json())
    else:
        print(client.create_flow_run_from_deployment(found.id).id)
"""
STATE = """
import sys
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    state = client.read_flow_run(sys.argv[1]).state
    print(state.type.value, state.name, state.message)
"""
ARTIFACTS = """
import json
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(json.dumps([[each.key, each.data] for each in client.read_artifacts()]))
"""


@pytest.mark.slow
def test_a_worker_runs_the_deployment_in_its_own_clone(
    small, tmp_path, prefect_server, work_beside, patiently
):
    def python(script: str, *arguments: str) -> str:
        return small.do(sys.executable, "-c", script, *arguments, **prefect_server).stdout.strip()

    done = small.segtrail("deploy", "--recipe", "demo", "--cron", "0 3 * * 1", **prefect_server)
    assert done.returncode == 0, done.stderr
    found = json.loads(python(SCRIPT, "show"))
    assert found["schedules"][0]["schedule"]["cron"] == "0 3 * * 1"
    assert found["parameters"] == {"recipe": "demo"}
    assert found["tags"] == ["segtrail", "demo"]
    assert found["work_pool_name"] == "segtrail"

    before = small.git("rev-parse", "HEAD")
    small.deliver("image,split\na,train\nb,test\n")  # after the clone was made
    run = python(SCRIPT, "run")
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "segtrail"]
    log = tmp_path / "worker.log"
    ended = ("COMPLETED", "FAILED", "CRASHED")
    with work_beside(worker, log, {**small.env, **prefect_server}, small.root):
        patiently(lambda: python(STATE, run).split()[0] in ended, 240)
    assert python(STATE, run).startswith("COMPLETED Promoted"), log.read_text()

    clone = small.root / ".segtrail/workers/demo"
    report = (clone / "artifacts/demo/gate/report.html").as_uri()
    linked = [key for key, data in json.loads(python(ARTIFACTS)) if report in data]
    assert linked == ["demo-report"]
    assert (clone / "calls.log").read_text().split()[:5] == [
        "examples", "validate", "transform", "train", "evaluate",
    ]  # fmt: skip
    assert "b,test" in (clone / "artifacts/demo/examples/manifest.parquet").read_text()
    assert (small.root / "serving/models/demo/1/saved_model.pb").exists()
    assert not (clone / "serving/models").exists()
    assert not (small.root / "artifacts").exists()
    assert small.git("rev-parse", "HEAD~1") == before
    assert "Run demo" in small.git("log", "-1", "--format=%s", "segtrail/demo")  # handed back
    assert "git merge segtrail/demo" in log.read_text()


def test_without_a_server_it_says_how_to_start_one(small):
    done = small.segtrail("deploy", "--recipe", "demo", PREFECT_HOME=str(small.root / ".prefect"))
    assert done.returncode == 2
    assert "no Prefect server" in done.stderr
    assert "prefect server start" in done.stderr


def test_a_wrong_cron_line_is_refused(small):
    done = small.segtrail(
        "deploy", "--recipe", "demo", "--cron", "weekly",
        PREFECT_HOME=str(small.root / ".prefect"), PREFECT_API_URL="http://127.0.0.1:9/api",
    )  # fmt: skip
    assert done.returncode == 2
    assert "got 'weekly'; expected five fields" in done.stderr
