"""Deployments, with a real Prefect server and real workers on loopback ports."""

import json
import os
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

ENDED = ("COMPLETED", "FAILED", "CRASHED")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class Platform:
    """A workspace, a Prefect server, and workers that the test starts and stops."""

    def __init__(self, small, server, work_beside, patiently, logs) -> None:
        self.small, self.server, self.patiently = small, server, patiently
        self._work_beside, self._logs = work_beside, logs

    def _ask(self, what: str, **body: object):
        """By HTTP: a test's own process that has Prefect keeps its settings for all tests."""

        def answered() -> bool:  # not by a server whose database is busy: 503
            nonlocal answer
            answer = httpx.post(f"{self.server['PREFECT_API_URL']}/{what}", json=body, timeout=60)
            return answer.status_code != httpx.codes.SERVICE_UNAVAILABLE

        answer: httpx.Response
        self.patiently(answered, 120)
        answer.raise_for_status()
        return answer.json()

    def deployments(self) -> dict[str, dict]:
        """By flow and name, as the server tells them."""
        flows = {flow["id"]: flow["name"] for flow in self._ask("flows/filter")}
        found = self._ask("deployments/filter")
        return {f"{flows[each['flow_id']]}/{each['name']}": each for each in found}

    def start(self, deployment: str) -> None:
        self._ask(f"deployments/{self.deployments()[deployment]['id']}/create_flow_run")

    def runs(self, deployment: str) -> list[dict]:
        """In the order in which they were to begin."""
        wanted = {"id": {"any_": [self.deployments()[deployment]["id"]]}}
        found = self._ask("flow_runs/filter", deployments=wanted)
        found.sort(key=lambda run: run["expected_start_time"])
        return [
            {"type": run["state"]["type"], "name": run["state"]["name"],
             "auto": run["auto_scheduled"], "id": run["id"]}
            for run in found
        ]  # fmt: skip

    def resume(self, run: str, by: str, reason: str) -> None:
        self._ask(f"flow_runs/{run}/resume", run_input={"by": by, "reason": reason})

    def artifacts(self) -> list[tuple[str | None, str]]:
        return [(each["key"], str(each["data"])) for each in self._ask("artifacts/filter")]

    def deploy(self, *options: str) -> str:
        done = self.small.segtrail("deploy", "--recipe", "demo", *options, **self.server)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def worker(self):
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "segtrail"]
        environment = {**self.small.env, **self.server}
        return self._work_beside(command, self._logs / "worker.log", environment, self.small.root)

    def log(self) -> str:
        return (self._logs / "worker.log").read_text()

    def ended(self, name: str) -> list[dict]:
        return [run for run in self.runs(name) if run["type"] in ENDED]

    def ends(self, name: str) -> list[str]:
        return [run["name"] for run in self.ended(name)]

    def wait_for(self, name: str, runs: int = 1, seconds: float = 240) -> list[dict]:
        self.patiently(lambda: len(self.ended(name)) >= runs, seconds)
        return self.ended(name)

    def examined(self, name: str) -> dict[str, str]:
        """What `segtrail doctor` says of a deployment."""
        said = json.loads(self.small.segtrail("doctor", "--json", **self.server).stdout)
        (found,) = [each for each in said["sections"]["servers"] if name in each["what"]]
        return found

    @property
    def clone(self):
        return self.small.root / ".segtrail/workers/demo"


@pytest.fixture
def platform(small, prefect_server, work_beside, patiently, tmp_path) -> Iterator[Platform]:
    found = Platform(small, prefect_server, work_beside, patiently, tmp_path)
    yield found
    for name in found.deployments():  # the server is the session's
        small.do(
            sys.executable, "-m", "prefect", "--no-prompt", "deployment", "delete", name,
            **prefect_server,
        )  # fmt: skip


@pytest.mark.slow
def test_a_worker_runs_the_deployment_in_its_own_clone(platform):
    small = platform.small
    platform.deploy("--schedule", "0 3 * * 1")
    found = platform.deployments()
    assert set(found) == {"retrain/demo", "batch/demo"}
    retrain = found["retrain/demo"]
    assert retrain["schedules"][0]["schedule"]["cron"] == "0 3 * * 1"
    assert retrain["parameters"] == {"recipe": "demo"}
    assert retrain["tags"] == ["segtrail", "demo"]
    assert retrain["work_pool_name"] == "segtrail"
    assert found["batch/demo"]["schedules"] == []

    before = small.git("rev-parse", "HEAD")
    small.deliver("image,split\na,train\nb,test\n")  # after the clone was made
    platform.start("retrain/demo")
    with platform.worker():
        [run] = platform.wait_for("retrain/demo")
        assert platform.examined("retrain/demo")["state"] == "ok"
    assert (run["type"], run["name"]) == ("COMPLETED", "Promoted"), platform.log()

    log = small.root / ".segtrail/logs" / f"{run['id']}.jsonl"  # not in the clone
    assert any("train speaks" in line for line in log.read_text().splitlines())
    assert f"run {run['id']}; log: .segtrail/logs/{run['id']}.jsonl" in platform.log()

    report = (platform.clone / "artifacts/demo/gate/report.html").as_uri()
    linked = [key for key, data in platform.artifacts() if report in data]
    assert linked == ["demo-report"]
    assert (platform.clone / "calls.log").read_text().split()[:5] == [
        "examples", "validate", "transform", "train", "evaluate",
    ]  # fmt: skip
    assert "b,test" in (platform.clone / "artifacts/demo/examples/manifest.parquet").read_text()
    assert (small.root / "serving/models/demo/1/saved_model.pb").exists()
    assert not (platform.clone / "serving/models").exists()
    assert not (small.root / "artifacts").exists()
    assert small.git("rev-parse", "HEAD~1") == before
    assert "Run demo" in small.git("log", "-1", "--format=%s", "segtrail/demo")  # handed back
    assert "git merge segtrail/demo" in platform.log()


@pytest.mark.slow
def test_a_pool_without_a_worker_is_told(platform):
    platform.deploy("--work-pool", "lonely")
    found = platform.examined("retrain/demo")
    assert found["what"].startswith("batch/demo, retrain/demo (pool lonely): no worker is alive")
    assert (found["state"], found["next"]) == ("warning", "prefect worker start --pool lonely")


@pytest.mark.slow
def test_what_arrives_lands_and_starts_a_retraining(platform, tmp_path):
    """A bad delivery is put aside with the reason; a good one retrains, by itself."""
    small = platform.small
    inbox = tmp_path / "incoming"
    inbox.mkdir()
    (inbox / "1-bad.csv").write_text("upside down")
    (inbox / "2-good.csv").write_text("image,split\na,train\nc,test\n")
    params = {"folder": str(inbox), "settle_s": 0, "every": "1d", "by": "Core facility"}
    small.set_param("datasets.synthetic.inbox", params)
    platform.deploy()
    assert "ingest/synthetic" in platform.deployments()
    platform.start("ingest/synthetic")
    with platform.worker():
        runs = platform.wait_for("ingest/synthetic")
        assert [r["name"] for r in runs if not r["auto"]] == ["Refused"], platform.log()
        [run] = platform.wait_for("retrain/demo")
    assert (run["type"], run["name"]) == ("COMPLETED", "Promoted"), platform.log()
    assert "c,test" in (platform.clone / "artifacts/demo/examples/manifest.parquet").read_text()
    assert [p.name.split("-", 1)[1] for p in sorted((inbox / "landed").iterdir())] == ["2-good.csv"]
    bad, why = sorted((inbox / "refused").iterdir(), key=lambda p: len(p.name))
    assert bad.read_text() == "upside down"
    assert "the images are upside down" in why.read_text()
    assert "turn them round" in why.read_text()
    assert "Deliver" in small.git("log", "-1", "--format=%s", "segtrail/_data")
    assert small.git("status", "--porcelain", "--", "data.dvc", "params.yaml") == ""


@pytest.mark.slow
def test_a_fault_is_tried_again_and_a_refused_model_is_not(platform):
    small = platform.small
    small.set_param("recipes.demo.operations", {"retries": 2, "retry_after": 0.5})
    platform.deploy()
    scratch = platform.clone / ".segtrail"
    scratch.mkdir(exist_ok=True)
    (scratch / "train.do").write_text("killed once")
    (scratch / "verdict").write_text("fail")
    platform.start("retrain/demo")
    with platform.worker():
        [run] = platform.wait_for("retrain/demo")
    assert (run["type"], run["name"]) == ("COMPLETED", "Rejected"), platform.log()
    calls = (platform.clone / "calls.log").read_text().split()
    assert calls.count("train") == 2
    assert calls.count("gate") == 1
    assert "a fault, no verdict" in platform.log()


@pytest.mark.slow
def test_a_run_that_hangs_is_ended_when_its_time_is_up(platform):
    small = platform.small
    small.set_param("recipes.demo.operations", {"time_out": 20 / 3600, "retries": 2})
    platform.deploy()
    (platform.clone / ".segtrail").mkdir(exist_ok=True)
    (platform.clone / ".segtrail/validate.do").write_text("hang")
    platform.start("retrain/demo")
    with platform.worker():
        [run] = platform.wait_for("retrain/demo")
    assert run["type"] == "FAILED"
    assert "operations.time_out" in platform.log()
    pid = int((platform.clone / ".segtrail/validate.pid").read_text())
    platform.patiently(lambda: is_gone(pid), 30)
    assert (platform.clone / "calls.log").read_text().split().count("validate") == 1


@pytest.mark.slow
def test_a_run_waits_for_people_and_goes_on_when_they_approved(platform):
    """One in the terminal, one in Prefect's own form; a third run does not ask again."""
    small = platform.small
    small.set_param("recipes.demo.promotion", {"approvals": 2})
    platform.deploy()
    platform.start("retrain/demo")

    def states() -> list[str]:
        return [run["name"] for run in platform.runs("retrain/demo")]

    with platform.worker():
        platform.patiently(lambda: states() == ["Suspended"], 240)
        [waiting] = platform.runs("retrain/demo")
        assert not (small.root / "serving/models/demo").exists()
        assert f"segtrail approve {waiting['id'][:8]}" in platform.log()
        small.set_param("recipes.demo.training.steps", 7)  # not what people are asked about
        assert "people are asked about its candidate" in platform.deploy()
        platform.start("retrain/demo")
        platform.patiently(lambda: "Judged" in states(), 240)
        assert "people are asked about its candidate" in platform.log()

        said = ("approve", waiting["id"][:8], "--by", "Grace", "--reason", "looked at all")
        verdict = platform.clone / "artifacts/demo/gate/verdict.json"
        judged = json.loads(verdict.read_text())
        verdict.write_text(json.dumps(judged | {"model_digest": "0" * 64}))
        done = small.segtrail(*said, **platform.server)
        assert done.returncode == 1
        assert "has 000000000000-v0 by now" in done.stderr
        verdict.write_text(json.dumps(judged))
        done = small.segtrail(*said, **platform.server)
        assert done.returncode == 0, done.stderr
        assert "goes on" in done.stdout
        platform.patiently(lambda: "Grace" in platform.log().rsplit("Suspending", 1)[0], 240)
        platform.patiently(lambda: "Suspended" in states(), 240)
        platform.resume(waiting["id"], "Ada", "so did I")
        platform.patiently(lambda: "Promoted" in states(), 240)
        platform.patiently(lambda: "Suspended" in states(), 240)  # what came meanwhile
        assert '"steps": 7' in (platform.clone / "artifacts/demo/model/saved_model.pb").read_text()
    entries = (platform.clone / "ledger/demo.jsonl").read_text()
    assert entries.count('"approved"') == 2
    assert '"steps": 7' not in (small.root / "serving/models/demo/1/saved_model.pb").read_text()
    assert small.segtrail(*said, **platform.server).returncode == 2  # it waits no more


@pytest.mark.slow
def test_cron_fires_and_a_machine_that_dies_does_not_stop_it(platform, patiently):
    """The worker and its run are killed; the run is noticed as dead, and the next goes on."""
    platform.small.set_param("recipes.demo.operations", {"retrain": "* * * * *"})
    platform.deploy()
    scratch = platform.clone / ".segtrail"
    scratch.mkdir(exist_ok=True)
    (scratch / "train.do").write_text("hang")
    pid = scratch / "train.pid"
    with platform.worker() as worker:
        patiently(pid.exists, 240)  # nobody started it but the cron line
        for each in [psutil.Process(worker.pid), *psutil.Process(worker.pid).children()]:
            each.kill()  # the run's process would go on without its worker
    patiently(lambda: is_gone(int(pid.read_text())), 60)  # the leash
    (scratch / "train.do").write_text("")
    with platform.worker():
        patiently(lambda: any(r["name"] == "Crashed" for r in platform.runs("retrain/demo")), 300)
        patiently(lambda: any(r["name"] == "Promoted" for r in platform.runs("retrain/demo")), 300)
    calls = (platform.clone / "calls.log").read_text().split()
    assert calls.count("transform") == 1  # the next run went on where the dead one stopped


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
    assert "got the schedule 'weekly'; expected five fields" in done.stderr
