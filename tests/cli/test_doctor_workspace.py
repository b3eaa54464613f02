"""`segtrail doctor` in whole workspaces: what is damaged is told, where, and with what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import miniature
import pytest
import yaml
from miniature import RECIPE

from cli import main
from lineage import ledger
from segtrail import git
from segtrail.files import sha256_file
from segtrail.lock import flow_lock
from segtrail.workspace import Workspace
from serving import config
from serving.launch import free_port, running_server

CHAMPION = "ledger's champion is v1"


@pytest.fixture
def here(promoted_template: Workspace, tmp_path: Path, monkeypatch) -> Workspace:
    """A workspace whose v1 is promoted, with a candidate that is committed."""
    for name in ("SEGTRAIL_HOME", "TF_CONFIG", "PREFECT_API_URL", "PREFECT_PROFILE",
                 "PREFECT_HOME", "MLFLOW_TRACKING_URI"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    workspace = miniature.copy(promoted_template, tmp_path / "workspace")
    monkeypatch.chdir(workspace.root)
    return workspace


@pytest.fixture
def ask(capsys):
    """Runs `segtrail doctor --json`; returns its exit code and what it printed."""

    def doctor() -> tuple[int, dict]:
        capsys.readouterr()
        code = main._run(["doctor", "--json"])
        return code, json.loads(capsys.readouterr().out)

    return doctor


def found(said: dict, section: str, words: str) -> dict:
    (each,) = [each for each in said["sections"][section] if words in each["what"]]
    return each


def states(said: dict, section: str) -> set[str]:
    return {each["state"] for each in said["sections"][section]}


def set_target(workspace: Workspace, target: str) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["recipes"][RECIPE]["serving"]["target"] = target
    workspace.params.write_text(yaml.safe_dump(params))
    git.run(workspace.root, "commit", "--quiet", "--all", "-m", "Another server")


def everything(root: Path) -> dict[str, str]:
    return {str(path): sha256_file(path) for path in root.rglob("*") if path.is_file()}


def test_a_healthy_workspace(here, ask, tmp_path, capsys):
    with running_server(RECIPE, log=tmp_path / "log", config=here.models_config) as server:
        set_target(here, server.target)
        before = everything(here.root)
        code, said = ask()
        assert everything(here.root) == before
        assert code == 0
        assert said["ok"]
        assert states(said, "git") == {"ok"}
        assert states(said, "segtrail") == {"ok"}
        assert states(said, "DVC") == {"ok", "not set up"}  # no remote
        assert found(said, "DVC", "data/ has the")["next"] is None
        assert found(said, "DVC", f"all that {RECIPE} v1 was made from")["state"] == "ok"
        assert found(said, "servers", "serves the champion, v1")["state"] == "ok"
        assert found(said, "servers", "segtrail up")["next"] == "segtrail up"
        assert found(said, "servers", "MLflow")["state"] == "ok"
        assert "workspace" in said["sections"]["disk"][0]["what"]
        assert found(said, "disk", "DVC's cache holds")["state"] == "ok"
        main._run(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "nothing that is needed is broken"
    assert lines[-1] == f"Next: {said['next']}"


def test_a_change_that_is_not_committed(here, ask):
    here.params.write_text(here.params.read_text() + "# more\n")
    code, said = ask()
    assert code == 0
    told = found(said, "git", "not committed: params.yaml")
    assert told["state"] == "warning"
    assert told["next"].startswith("git add params.yaml && git commit")
    assert said["next"] == told["next"]


def test_a_ledger_that_is_not_committed(here, ask):
    ledger.append(here.ledger(RECIPE), ledger.REJECTED, version=None, model_digest="a" * 64)
    _, said = ask()
    assert found(said, "git", f"not committed: ledger/{RECIPE}.jsonl")["state"] == "warning"
    assert states(said, "segtrail") == {"ok"}


def test_an_unfinished_merge(here, ask):
    root = here.root
    git.run(root, "switch", "--quiet", "-c", "other")
    for branch, steps in (("other", 5), ("main", 7)):
        git.run(root, "switch", "--quiet", branch)
        here.params.write_text(here.params.read_text().replace("steps: 3", f"steps: {steps}"))
        git.run(root, "commit", "--quiet", "--all", "-m", f"{steps} steps")
    subprocess.run(["git", "merge", "--quiet", "other"], cwd=root, capture_output=True, check=False)
    code, said = ask()
    assert code == 1
    assert found(said, "git", "a merge is unfinished")["state"] == "broken"
    assert said["next"] == "git merge --continue   (or: git merge --abort)"
    assert found(said, "segtrail", "params.yaml")["state"] == "broken"  # it has both sides' lines


def test_nobody_s_name(here, ask, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    git.run(here.root, "config", "--unset", "user.email")
    _, said = ask()
    told = found(said, "git", "git has no user.email")
    assert told["state"] == "warning"
    assert told["next"] == 'git config user.email "ada@example.org"'


def test_wrong_params_do_not_hide_the_rest(here, ask):
    here.params.write_text("recipes: 3\n")
    code, said = ask()
    assert code == 1
    assert found(said, "segtrail", "recipes")["state"] == "broken"
    assert found(said, "segtrail", f"ledger/{RECIPE}.jsonl")["state"] == "ok"
    assert found(said, "DVC", "data/ has the")["state"] == "ok"
    assert found(said, "git", "params.yaml")["state"] == "warning"


def test_a_file_that_the_cache_lacks(here, ask):
    lock = yaml.safe_load(git.run(here.root, "show", f"{RECIPE}/v1:dvc.lock"))
    (out,) = [o for o in lock["stages"][f"train@{RECIPE}"]["outs"] if o["path"].endswith("model")]
    cache = here.root / ".dvc/cache/files/md5"
    listing = json.loads((cache / out["md5"][:2] / out["md5"][2:]).read_text())
    name = next(each for each in listing if each["relpath"].endswith("threshold"))
    (cache / name["md5"][:2] / name["md5"][2:]).unlink()
    code, said = ask()
    assert code == 0
    told = found(said, "DVC", "the cache lacks 1 files")
    assert f"{RECIPE} v1" in told["what"]
    assert "variables/threshold" in told["what"]
    assert (told["state"], told["next"]) == ("warning", f"segtrail audit {RECIPE}")


def test_data_that_is_not_checked_out(here, ask):
    (here.data / "tiny/images/one.png").unlink()
    code, said = ask()
    assert code == 1
    assert "such as tiny/images/one.png" in found(said, "DVC", "data/ lacks 1 of")["what"]
    assert said["next"].startswith("dvc checkout data.dvc")
    shutil.rmtree(here.data)
    assert found(ask()[1], "DVC", "data/ is not there")["next"].startswith("dvc checkout data.dvc")


def test_a_remote_that_is_gone(here, ask, tmp_path):
    remote = tmp_path / "remote"
    remote.mkdir()
    miniature.dvc(here.root, "remote", "add", "--default", "store", str(remote))
    assert found(ask()[1], "DVC", "the remote store")["state"] == "ok"
    remote.rmdir()
    code, said = ask()
    assert code == 0
    told = found(said, "DVC", "the remote store")
    assert "does not answer" in told["what"]
    assert (told["state"], told["next"]) == ("warning", "dvc remote list   (docs/remotes.md)")


def test_dvc_s_lock_of_a_dead_process(here, ask):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    lock = here.root / ".dvc/tmp/rwlock"
    lock.parent.mkdir(exist_ok=True)
    holder = {"pid": process.pid, "cmd": "dvc repro"}
    lock.write_text(json.dumps({"write": {str(here.data): holder}, "read": {}}))
    told = found(ask()[1], "DVC", f"DVC's process {process.pid} (dvc repro) was killed")
    assert told["state"] == "warning"

    lock.write_text(json.dumps({"write": {}, "read": {"x": [{"pid": os.getpid(), "cmd": "dvc"}]}}))
    assert found(ask()[1], "DVC", "a DVC command is at work")["state"] == "ok"
    os.utime(lock, (0, 0))  # written before the process with this number began
    code, said = ask()
    assert code == 1
    assert said["next"].startswith(f"rm {lock}")
    lock.write_text("{")
    assert found(ask()[1], "DVC", "cut off")["state"] == "broken"


def test_a_run_that_was_killed(here, ask):
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from segtrail.lock import flow_lock\n"
        "from segtrail.workspace import Workspace\n"
        "with flow_lock(Workspace.at(Path.cwd()), print):\n"
        "    sys.argv[1:] and os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=here.root, check=True)
    assert states(ask()[1], "segtrail") == {"ok"}
    subprocess.run([sys.executable, "-c", script, "die"], cwd=here.root, check=False)
    told = found(ask()[1], "segtrail", "was killed")
    assert told["state"] == "warning"
    assert told["next"].startswith("segtrail status")
    with flow_lock(here, print):
        assert found(ask()[1], "segtrail", f"under way here (pid {os.getpid()})")["state"] == "ok"


def test_a_promotion_that_was_cut_short(here, ask):
    path = here.ledger(RECIPE)
    ledger.append(path, ledger.INTENT, version=2, model_digest="a" * 64)
    git.commit(here.root, [f"ledger/{RECIPE}.jsonl"], "Intent")
    code, said = ask()
    assert code == 1
    assert found(said, "segtrail", "v2 was cut short")["state"] == "broken"
    assert said["next"] == f"segtrail promote --recipe {RECIPE} --recover"


def test_a_ledger_that_was_edited(here, ask):
    path = here.ledger(RECIPE)
    path.write_text(path.read_text().replace("Ada", "Eve"))
    code, said = ask()
    assert code == 1
    told = found(said, "segtrail", f"ledger/{RECIPE}.jsonl")
    assert (told["state"], told["next"]) == ("broken", f"segtrail audit {RECIPE}")


def test_a_model_server_that_is_dead(here, ask):
    code, said = ask()
    assert code == 0
    told = found(said, "servers", "no model server answers")
    assert told["state"] == "warning"
    assert told["next"].startswith("segtrail serve")


def test_a_model_server_that_serves_another_version(here, ask, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(here.models / RECIPE / "1", store / "2")
    other = tmp_path / "other.config"
    config.set_champion(other, RECIPE, store, 2)
    with running_server(RECIPE, log=tmp_path / "log", config=other) as server:
        set_target(here, server.target)
        code, said = ask()
    assert code == 1
    told = found(said, "servers", CHAMPION)
    assert f"{server.target} serves v2" in told["what"]
    assert said["next"] == f"segtrail audit {RECIPE} --target {server.target}"


def test_what_serves_is_not_what_the_ledger_says(here, ask):
    config.set_champion(here.models_config, RECIPE, here.models / RECIPE, 2)
    code, said = ask()
    assert code == 1
    told = found(said, "servers", f"names v2 of {RECIPE}; the ledger ends with v1")
    assert told["next"] == f"segtrail promote --recipe {RECIPE} --recover"


def test_servers_that_do_not_answer(here, ask, monkeypatch):
    nobody = f"http://user:secret@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    monkeypatch.setenv("PREFECT_API_URL", f"{nobody}/api")
    code, said = ask()
    assert code == 1
    for name in ("MLflow", "Prefect"):
        assert "does not answer" in found(said, "servers", f"{name} (")["what"]
    assert "secret" not in json.dumps(said)
