"""`segtrail ledger`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from miniature import RECIPE

from cli import main
from components.promote import promote, rollback
from lineage import keys
from segtrail import git, secrets
from segtrail.workspace import Workspace


@pytest.fixture
def here(promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Workspace:
    """A workspace where v1 was promoted unsigned, and v2 by Ada, whose key signed it."""
    made = keys.new(promoted.root, "ada", None, tmp_path / "ada.pem")
    git.commit(promoted.root, ["trust/ada.pem"], "Ada may sign")
    monkeypatch.setenv(secrets.KEY, str(made.private))
    promote(promoted, RECIPE, by="Ada")
    rollback(promoted, RECIPE, 1, reason="a drill", by="Grace")
    monkeypatch.chdir(promoted.root)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    capsys.readouterr()
    return promoted


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main._run(["ledger", *arguments]) == code
    return capsys.readouterr().out


def test_each_line_is_shown_with_who_claims_and_who_signed_it(here, capsys):
    _, back, _, second, _, first, _ = told(capsys, "show", RECIPE).splitlines()
    assert back.endswith("Grace (claimed; signed by ada)")
    assert second.endswith("Ada (signed)")
    assert first.endswith("(claimed)")
    rows = json.loads(told(capsys, "show", RECIPE, "--json"))
    assert [row["signed_by"] for row in rows] == ["ada"] * 4 + [None] * 2
    assert [row["seq"] for row in rows] == [6, 5, 4, 3, 2, 1]


def test_a_whole_ledger_verifies_and_a_touched_one_does_not(here, capsys):
    assert told(capsys, "verify") == f"{RECIPE}: 6 lines hold, 4 signed\n"
    path = here.ledger(RECIPE)
    content = path.read_text()
    path.write_text(content.replace('"by": "Grace"', '"by": "Alan"'))
    assert f"{RECIPE}: BROKEN: line 6: names " in told(capsys, "verify", RECIPE, code=5)
    path.write_text("".join(content.splitlines(keepends=True)[:4]))
    assert "the ledger was edited" in told(capsys, "verify", code=5)
    assert main._run(["ledger", "show", RECIPE]) == 1


def test_a_misspelt_recipe_is_told_the_nearest(here, capsys):
    assert main._run(["ledger", "verify", "dmeo"]) == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err
