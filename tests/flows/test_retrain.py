"""The whole flow with real DVC, Prefect, git and ledger over quick components."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from lineage import approvals, ledger
from segtrail import saved_model
from segtrail.errors import EXIT_FAULT
from segtrail.workspace import Workspace
from serving import config
from serving.launch import free_port

DVC = ["examples", "validate", "transform", "train", "evaluate"]
STEPS = "recipes.demo.training.steps"
LIVE = ["gate", "infra-validate", "promote"]


@pytest.fixture
def retrain(prefect_server) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(small, *options: str) -> subprocess.CompletedProcess[str]:
        return small.segtrail("retrain", "--recipe", "demo", *options, **prefect_server)

    return run


def champion(small) -> int | None:
    return config.champion(Workspace.at(small.root).models_config, "demo")


@pytest.mark.slow
def test_from_the_first_model_to_a_change_and_back_to_rest(small, retrain):
    done = retrain(small)
    assert done.returncode == 0, done.stderr
    assert small.calls() == DVC + LIVE
    assert done.stdout.splitlines()[-1] == "demo: v1 serves"
    assert "         train | train speaks" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "prefect" not in done.stdout.lower()
    changed = small.git("show", "--name-only", "--format=%s").split("\n")
    assert changed == [f"Run demo: {', '.join(DVC)}", "", "dvc.lock"]
    assert small.git("status", "--porcelain") == ""

    head = small.git("rev-parse", "HEAD")
    done = retrain(small)
    assert done.returncode == 0
    assert small.calls() == []
    assert "demo: v1 already serves this model; nothing to do" in done.stdout
    assert small.git("rev-parse", "HEAD") == head

    small.set_param(STEPS, 301)
    assert retrain(small).returncode == 0
    assert small.calls() == ["train", "evaluate", *LIVE]
    assert champion(small) == 2

    small.set_param("recipes.demo.gate.absolute.0.min", 0.123)
    done = retrain(small)
    assert (done.returncode, small.calls()) == (0, ["gate"])  # the champion is the candidate
    assert "v2 already serves" in done.stdout


@pytest.mark.slow
def test_a_candidate_waits_for_a_person_or_is_shown_as_a_canary(done, retrain):
    assert retrain(done).returncode == 0
    done.calls()
    done.set_param(STEPS, 306)
    found = retrain(done, "--no-promote")
    assert (found.returncode, champion(done)) == (0, 1)
    assert done.calls() == ["train", "evaluate", *LIVE[:-1]]
    assert found.stdout.splitlines()[-1].endswith(
        "is not promoted yet: segtrail promote --recipe demo (or --canary)"
    )
    assert done.git("status", "--porcelain") == ""  # dvc.lock records what waits
    found = retrain(done, "--canary")
    assert (found.returncode, champion(done)) == (0, 1)
    assert done.calls() == [*LIVE[:-1], "canary"]
    assert found.stdout.splitlines()[-1].startswith("demo: v2 is out as a canary; to end that: ")
    done.set_param(STEPS, 307)
    found = retrain(done, "--canary")
    assert (found.returncode, champion(done)) == (1, 1)
    assert "error: v2 is out as a canary\n  -> --confirm\n" in found.stderr
    assert retrain(done, "--canary", "--no-promote").returncode == 2


@pytest.mark.slow
def test_a_recipe_that_asks_people_ends_with_the_candidate_waiting_for_them(done, retrain):
    done.edit(
        "params.yaml",
        lambda text: text.replace("  demo:\n", "  demo:\n    promotion: {approvals: 1}\n", 1),
    )
    found = retrain(done)
    assert (found.returncode, champion(done)) == (0, None)
    assert done.calls() == LIVE[:-1]
    assert found.stdout.splitlines()[-1].endswith(
        "and waits: 0 of 1 person approved it: segtrail approve --recipe demo --by NAME "
        "--reason TEXT, then segtrail promote --recipe demo"
    )
    verdict = json.loads((done.root / "artifacts/demo/gate/verdict.json").read_text())
    ledger.append(
        done.root / "ledger/demo.jsonl", ledger.APPROVED, version=None, by="Ada",
        model_digest=verdict["model_digest"], details=approvals.details(verdict, "looked"),
    )  # fmt: skip
    done.git("add", "ledger")
    done.git("commit", "--quiet", "-m", "Approve")
    assert retrain(done).returncode == 0
    assert champion(done) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("verdict", "code"), [("fail", 3), ("insufficient evidence", 4)])
@pytest.mark.parametrize(
    ("judge", "calls", "says"),
    [
        ("verdict", ["gate", "reject"], "mean_iou is 0.1, below 0.7"),
        ("limits", ["gate", "infra-validate", "reject"], "one image takes 900 ms"),
    ],
)
def test_a_candidate_that_is_turned_down(done, retrain, judge, calls, says, verdict, code):
    (done.root / ".segtrail").mkdir(exist_ok=True)
    (done.root / ".segtrail" / judge).write_text(verdict)
    found = retrain(done)
    assert found.returncode == code
    assert done.calls() == calls
    assert f"not promoted: {says}" in found.stdout.splitlines()[-1]
    assert champion(done) is None
    entry = json.loads((done.root / "ledger/demo.jsonl").read_text())
    assert (entry["event"], entry["details"]["verdict"]) == ("rejected", verdict)


@pytest.mark.slow
def test_bad_examples_stop_before_anything_is_learnt(small, retrain):
    small.deliver("image,split\nbad,train\n")
    found = retrain(small)
    assert found.returncode == 1
    assert small.calls() == ["examples", "validate"]
    assert "one image is bad" in found.stderr
    assert "artifacts/demo/validation/data_docs/index.html" in found.stderr


@pytest.mark.slow
def test_uncommitted_code_is_judged_but_not_promoted(done, retrain):
    done.set_param(STEPS, 302, commit=False)
    found = retrain(done)
    assert found.returncode == 1
    assert "not committed: params.yaml" in found.stdout
    assert found.stderr == "error: not committed: code\n  -> commit it, or --allow-dirty\n"
    assert done.calls() == ["train", "evaluate", *LIVE]
    assert retrain(done, "--allow-dirty").returncode == 0
    assert done.calls() == LIVE
    assert champion(done) == 1


@pytest.mark.slow
def test_a_stage_that_fails_is_told_and_tried_again(done, retrain):
    done.set_param(STEPS, 303)
    done.say("train", "fail")
    found = retrain(done)
    assert found.returncode == 1
    assert found.stderr.endswith("error: train: the images are upside down\n  -> turn them round\n")
    assert "Traceback" not in found.stdout + found.stderr
    done.calls()
    done.say("train", "")
    assert retrain(done).returncode == 0
    assert done.calls() == ["train", "evaluate", *LIVE]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train", "gate"])
def test_a_run_that_is_killed_is_finished_by_the_next(
    done, retrain, prefect_server, patiently, stage
):
    done.set_param(STEPS, 304)
    done.say(stage, "hang")
    command = [sys.executable, "-m", "cli", "retrain", "--recipe", "demo"]
    first = subprocess.Popen(
        command, cwd=done.root, env={**done.env, **prefect_server}, stdout=subprocess.DEVNULL
    )
    patiently((done.root / f".segtrail/{stage}.pid").exists, 90)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done.say(stage, "")
    done.calls()
    found = retrain(done)
    assert found.returncode == 0, found.stderr
    again = ["train", "evaluate", *LIVE] if stage == "train" else LIVE
    assert done.calls() == again
    assert champion(done) == 1


@pytest.mark.slow
def test_a_model_that_was_rolled_back_is_not_brought_back(done, retrain):
    assert retrain(done).returncode == 0
    done.set_param(STEPS, 305)
    assert retrain(done).returncode == 0
    done.calls()
    workspace = Workspace.at(done.root)
    store, path = workspace.models / "demo", workspace.ledger("demo")
    for version, more in ((1, {}), (2, {}), (1, {"rollback": "v2 misses cells"})):
        model = saved_model.digest(store / str(version))
        ledger.append(
            path, ledger.DONE, version=version, model_digest=model, by="Ada", details=more
        )
    config.set_champion(workspace.models_config, "demo", store, 1)
    done.git("add", "ledger")
    done.git("commit", "--quiet", "-m", "Roll back")
    before = (done.git("rev-parse", "HEAD"), path.read_bytes(), workspace.models_config.read_text())
    found = retrain(done)
    assert found.returncode == 3, found.stderr
    assert done.calls() == []
    last = found.stdout.splitlines()[-1]
    assert last.startswith("demo: not promoted: v2 was rolled back by Ada on ")
    assert "because v2 misses cells (entry 3 of the ledger)" in last
    assert last.endswith("(rejected)")
    after = (done.git("rev-parse", "HEAD"), path.read_bytes(), workspace.models_config.read_text())
    assert after == before
    assert done.git("status", "--porcelain") == ""

    # while gate and infra validation are at work
    (workspace.scratch / "rolled-back.jsonl").write_bytes(path.read_bytes())
    path.unlink()
    done.git("commit", "--quiet", "-am", "Nobody has said anything yet")
    found = retrain(done)
    assert found.returncode == 3, found.stderr
    assert done.calls() == LIVE
    assert found.stdout.splitlines()[-1].startswith("demo: not promoted: v2 was rolled back by Ada")


def test_a_prefect_server_that_gives_no_answer_is_a_fault(small):
    """A named one: without any, a run has a server of its own."""
    nobody = f"http://127.0.0.1:{free_port()}"
    found = small.segtrail("retrain", "--recipe", "demo", PREFECT_API_URL=f"{nobody}/api")
    assert found.returncode == EXIT_FAULT
    assert f"error: Prefect at {nobody} gives no answer: " in found.stderr
    assert "run it again" in found.stderr
    assert "Traceback" not in found.stderr
    assert small.calls() == []
