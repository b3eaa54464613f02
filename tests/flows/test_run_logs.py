"""Each run has a log under its id: a flow's is Prefect's, a command's its own."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

LOG = re.compile(r"^run (\S+); log: (\S+)$", re.MULTILINE)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_a_retraining_that_fails(small, prefect_server):
    small.say("train", "fail")
    done = small.segtrail(
        "retrain", "--recipe", "demo", **prefect_server, SEGTRAIL_KEY_PASSPHRASE="train speaks"
    )
    assert done.returncode == 1
    run, path = LOG.search(done.stdout).groups()
    assert f"failed; log: {path}\n" in done.stdout
    with urllib.request.urlopen(f"{prefect_server['PREFECT_API_URL']}/flow_runs/{run}") as answer:
        assert json.load(answer)["name"] == "retrain-demo"
    said = lines(small.root / path)
    assert {line["run"] for line in said} == {run}
    assert {line["recipe"] for line in said} == {"demo"}
    assert ("examples", "examples speaks") in [(line["step"], line["message"]) for line in said]
    failures = [line["message"] for line in said if line["level"] == "ERROR"]
    assert any("train: the images are upside down\n  -> turn them round" in f for f in failures)
    assert "train speaks" not in json.dumps(said)
    assert "Logging error" not in done.stderr

    shown = small.segtrail("logs", run[:8]).stdout
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +examples \| examples speaks$", shown, re.M)
    assert small.segtrail("logs", "last", "--json").stdout == (small.root / path).read_text()


@pytest.mark.slow
def test_an_ingestion_by_hand(small, tmp_path):
    delivery = tmp_path / "delivery.csv"
    delivery.write_text("image,split\na,train\nb,test\n")
    done = small.segtrail("ingest", str(delivery), "--dataset", "synthetic")
    assert done.returncode == 0, done.stderr
    run, path = LOG.search(done.stderr).groups()
    said = lines(small.root / path)
    assert {(line["run"], line["dataset"], line["step"]) for line in said} == {
        (run, "synthetic", "ingest")
    }
    assert [line["message"] for line in said] == done.stdout.splitlines()

    delivery.write_text("upside down")
    done = small.segtrail("ingest", str(delivery), "--dataset", "synthetic")
    assert done.returncode == 1
    assert "failed; log: " in done.stderr
    path = LOG.search(done.stderr)[2]
    assert "upside down" in lines(small.root / path)[-1]["message"]

    done = small.segtrail("ingest", str(delivery), "--dataset", "synthetic", SEGTRAIL_RUN=run)
    assert LOG.search(done.stderr) is None  # a step of a run that has a log
    assert small.segtrail("logs", "--json").returncode == 2
