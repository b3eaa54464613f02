"""Checks of `segtrail doctor` are apart from each other, and the worst names what is next."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from flows.doctor import findings
from flows.doctor.findings import Finding, State, ok
from flows.doctor.here import Here
from segtrail.errors import LineageError
from segtrail.workspace import Workspace


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(Workspace(tmp_path, tmp_path))


def fine(here: Here) -> list[Finding]:
    return [ok("fine")]


def test_a_check_that_fails_hides_no_other(here):
    def refuses(here: Here) -> list[Finding]:
        raise LineageError("the chain is cut", "segtrail audit demo")

    def breaks(here: Here) -> list[Finding]:
        raise OSError("no answer of http://ada:secret@models.example")

    found = findings.run({"one": [refuses, breaks, fine], "two": [fine]}, here)
    assert found["one"][0] == Finding(State.BROKEN, "the chain is cut", "segtrail audit demo")
    assert found["one"][1].state == State.WARNING
    assert found["one"][1].what.startswith("breaks: not known (OSError: no answer of ")
    assert "secret" not in found["one"][1].what
    assert found["one"][2] == ok("fine")
    assert found["two"] == [ok("fine")]


def test_a_check_that_hangs_hides_no_other(here, monkeypatch):
    monkeypatch.setattr(findings, "SECTION_S", 5.0)
    end = threading.Event()

    def hangs(here: Here) -> list[Finding]:
        end.wait()
        return []

    found = findings.run({"one": [fine, hangs, fine], "two": [fine]}, here)
    end.set()
    assert found["one"][0] == ok("fine")
    assert found["one"][-1].what.startswith("no answer in 5 s")
    assert found["two"] == [ok("fine")]


def test_the_worst_finding_says_what_is_next():
    optional = Finding(State.NOT_SET_UP, "no remote", "dvc remote add")
    first = Finding(State.NOT_SET_UP, "nothing is promoted", "segtrail retrain")
    warning = Finding(State.WARNING, "not committed", "git commit")
    broken = [Finding(State.BROKEN, "cut short", f"segtrail promote {n}") for n in (1, 2)]
    assert findings.most_important([[ok("fine")], [optional]]) == "segtrail status"
    assert findings.most_important([[optional], [first]]) == "segtrail retrain"
    assert findings.most_important([[first], [warning, optional]]) == "git commit"
    assert findings.most_important([[warning, broken[0]], [broken[1]]]) == "segtrail promote 1"
