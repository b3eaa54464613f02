"""`segtrail audit`: its JSON, and the schema that is published for it."""

from __future__ import annotations

import json
from pathlib import Path

import miniature
import pytest
from jsonschema import Draft202012Validator
from miniature import RECIPE

from cli import main
from segtrail.workspace import Workspace


@pytest.fixture
def here(
    promoted_template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """A workspace where v1 serves, and the working directory."""
    workspace = miniature.copy(promoted_template, tmp_path / "workspace")
    monkeypatch.chdir(workspace.root)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    return workspace


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main._run(["audit", *arguments]) == code
    return capsys.readouterr().out


def validator(capsys: pytest.CaptureFixture[str]) -> Draft202012Validator:
    schema = json.loads(run(capsys, "--json-schema"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict:
    """Returns the JSON, which the schema describes, as the command that ends with `code`."""
    found = json.loads(run(capsys, RECIPE, "--json", *arguments, code=code))
    validator(capsys).validate(found)
    assert found["exit_code"] == code
    return found


def test_what_holds_is_told_as_json(here, capsys):
    found = as_json(capsys)
    assert (found["version"], found["target"], found["conclusion"]) == (
        1, None, "nothing is broken, with warnings",
    )  # fmt: skip
    assert found["options"] == {
        "quick": False, "fetch": False, "reproduce": False, "signed": False,
    }  # fmt: skip
    assert found["model_digest"] in here.ledger(RECIPE).read_text()
    assert len(found["links"]) == 24


def test_the_table_has_the_words_of_the_json(here, capsys):
    states = {link["name"]: link["state"] for link in as_json(capsys, "--quick", code=6)["links"]}
    rows = run(capsys, RECIPE, "--quick", code=6).splitlines()[: len(states)]
    for row, (name, state) in zip(rows, states.items(), strict=True):
        assert row.strip().startswith(f"{name}  {state}  ")
    assert set(states.values()) == {"held", "warning", "not checked"}


def test_what_is_broken_or_left_out_is_told_as_json(here, capsys):
    found = as_json(capsys, "--quick", code=6)
    assert found["options"]["quick"] is True
    found = as_json(capsys, "--signed", "--target", "127.0.0.1:1", code=5)
    assert (found["target"], found["options"]["signed"]) == ("127.0.0.1:1", True)
    assert found["links"][0]["state"] == "broken"
    here.ledger(RECIPE).write_text("{")
    here.models_config.write_text("")
    found = as_json(capsys, code=5)
    assert (found["version"], found["model_digest"]) == (None, None)
    found = as_json(capsys, "--version", "7", code=5)
    assert (found["version"], found["model_digest"]) == (7, None)


def test_nothing_promoted_is_told_as_json(template, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(miniature.copy(template, tmp_path / "workspace").root)
    found = as_json(capsys, code=6)
    assert found["version"] is None
    assert {link["state"] for link in found["links"]} == {"not checked"}


def test_the_schema_notices_what_it_does_not_describe(here, capsys):
    found = as_json(capsys)
    valid = validator(capsys).is_valid
    assert valid(found)
    assert not valid(found | {"more": 1})
    assert not valid(found | {"options": found["options"] | {"more": True}})
    assert not valid(found | {"links": [link | {"more": 1} for link in found["links"]]})
    assert not valid(found | {"made": "yesterday"})
    assert not valid({key: value for key, value in found.items() if key != "version"})
