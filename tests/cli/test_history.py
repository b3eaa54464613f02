"""`segtrail history`."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from miniature import RECIPE, verdict

from cli import main
from cli.history import _lasted
from components.promote import abort_canary, promote, reject, rollback, show_canary
from lineage import ledger, origin, provenance
from segtrail.files import sha256_file
from segtrail.workspace import Workspace
from serving import config


@pytest.fixture
def here(promoted: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose v1 serves, as the working directory."""
    monkeypatch.chdir(promoted.root)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    return promoted


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main._run(["history", *arguments]) == code
    return capsys.readouterr().out


def test_what_served_is_told_newest_first_and_changes_nothing(here, capsys):
    promote(here, RECIPE, by="Ada <ada@example.org>")
    rollback(here, RECIPE, 1, reason="v2 misses\nmitotic cells", by="Grace")
    reject(here, RECIPE, verdict("d" * 64, "fail"), by="Ada")
    before = {path: path.stat().st_mtime_ns for path in here.root.rglob("*") if path.is_file()}
    capsys.readouterr()
    out = told(capsys, RECIPE)
    assert {p: p.stat().st_mtime_ns for p in here.root.rglob("*") if p.is_file()} == before
    head, last, second, first, empty, chain, more = out.splitlines()
    assert head.split()[:3] == ["version", "served", "from"]
    assert [row.split()[0] for row in (last, second, first)] == ["v1", "v2", "v1"]
    assert "serves now" in last
    assert "rollback from v2 by Grace because v2 misses\\nmitotic cells" in last
    assert " Ada " in second
    assert "ada@" not in second
    assert second.endswith("promoted by the gate: mean_iou >= 0.5: 0.750")
    entries = ledger.read(here.ledger(RECIPE))
    began = [e.at.replace("+00:00", "Z") for e in entries if e.event == ledger.DONE]
    assert second.split()[1:3] == began[1:]
    assert entries[0].details["git_commit"][:10] in first
    assert " yes " in first
    assert (empty, chain) == ("", "ledger/demo.jsonl: the chain of its 7 entries is whole")
    assert more == "1 more entry, such as a rejection: segtrail history demo --events"
    rows = told(capsys, RECIPE, "--events").splitlines()
    assert rows[1].split()[:2] == ["-", entries[-1].at.replace("+00:00", "Z")]
    assert rows[1].endswith("candidate dddddddddddd rejected, fail: mean_iou >= 0.5: 0.75 >= 0.5")
    assert rows[2].split()[:4] == last.split()[:4]  # how long it serves grows
    assert [row.split() for row in rows[3:5]] == [second.split(), first.split()]


def test_scripts_get_full_digests(here, capsys):
    reject(here, RECIPE, verdict("d" * 64, "fail"))
    capsys.readouterr()
    (found,) = json.loads(told(capsys, RECIPE, "--json"))
    done = ledger.champion(ledger.read(here.ledger(RECIPE)))
    folder = here.models / RECIPE / "1"
    assert done is not None
    assert found["model_digest"] == done.model_digest
    assert found["provenance_sha256"] == sha256_file(
        folder / "assets.extra/segtrail/provenance.json"
    )
    assert len(found["git_commit"]) == 40
    assert len(found["data_sha256"]) == 64
    assert len(found["mlflow_run"]) == 32
    assert (found["recipe"], found["version"], found["until"]) == (RECIPE, 1, None)
    assert (found["event"], found["came"], found["stored"]) == ("done", "gate", True)
    assert found["rule"]["value"] == 0.75
    assert datetime.fromisoformat(found["since"]).tzinfo is not None
    rejected, same = json.loads(told(capsys, RECIPE, "--json", "--events"))
    assert (rejected["event"], rejected["model_digest"]) == ("rejected", "d" * 64)
    assert same["entry"] == found["entry"]


def test_a_broken_chain_is_an_error(here, capsys):
    path = here.ledger(RECIPE)
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 3', 1))
    assert main._run(["history", RECIPE]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error: {path}: line 2: names " in err
    assert err.endswith("\n  -> segtrail audit demo\n")


def test_a_configuration_that_names_another_version_is_told_with_the_remedy(here, capsys):
    config.set_champion(here.models_config, RECIPE, here.models / RECIPE, 9)
    out = told(capsys, RECIPE)
    assert "serves now" not in out
    assert "now, by the ledger" in out
    assert "names v9 of demo; the ledger ends with v1\n  -> segtrail promote --recipe demo" in out
    assert main._run(["history", RECIPE, "--json"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 1
    assert "names v9 of demo" in err


def test_what_is_not_finished_is_told(here, capsys):
    ledger.append(here.ledger(RECIPE), ledger.INTENT, version=2, model_digest="a" * 64, by="Ada")
    assert "the promotion of v2 is under way, or was cut short\n  -> segtrail" in told(
        capsys, RECIPE
    )
    assert "begun and not finished" in told(capsys, RECIPE, "--events")


def test_a_version_that_the_store_lacks_is_shown(here, capsys):
    (here.models / RECIPE / "1").rename(here.root / "made" / "gone")
    row = told(capsys, RECIPE).splitlines()[1]
    assert row.split()[-6:] == ["?", "no", "promoted", "by", "the", "gate"]


def test_a_recipe_that_was_never_promoted(here, capsys):
    here.ledger(RECIPE).unlink()
    config.withdraw(here.models_config, RECIPE)
    out = told(capsys, RECIPE)
    assert out.startswith("demo was never promoted; this trains, judges and promotes its first")
    assert out.endswith("\n  -> segtrail retrain --recipe demo\n")
    assert told(capsys, RECIPE, "--json") == "[]\n"


def test_a_canary_is_told_with_what_it_came_from(here, capsys):
    show_canary(here, RECIPE, by="Grace")
    capsys.readouterr()
    canary = ledger.read(here.ledger(RECIPE))[-1]
    path = here.models / RECIPE / "2" / provenance.IN_MODEL
    made = origin.of_version(here, RECIPE, 2, sha256_file(path))
    row = told(capsys, RECIPE, "--events").splitlines()[1].split()
    assert row[:5] == ["v2", canary.at.replace("+00:00", "Z"), "-", "-", "Grace"]
    assert row[5:9] == [
        made.data_dvc_md5[:10], canary.details["git_commit"][:10], made.mlflow_run[:8], "yes"
    ]  # fmt: skip
    newest = json.loads(told(capsys, RECIPE, "--events", "--json"))[0]
    assert (newest["event"], newest["mlflow_run"]) == ("canary", made.mlflow_run)
    abort_canary(here, RECIPE, reason="a drill", by="Ada")
    capsys.readouterr()
    ended = told(capsys, RECIPE, "--events").splitlines()[1].split()
    assert ended[4:9] == ["Ada", *"----"]


def test_an_unknown_recipe_is_usage(here, capsys):
    assert main._run(["history", "dmeo"]) == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (180000, "2 d 2 h"),
     (-1, "?")],
)  # fmt: skip
def test_how_long_is_told_in_two_units(seconds, says):
    assert _lasted(seconds) == says
