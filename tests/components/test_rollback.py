"""Back to a version that served before, and what is looked at before anything moves."""

from __future__ import annotations

import contextlib
import os
import sys

import agreement
import miniature
import pytest
from miniature import RECIPE
from typer.testing import CliRunner

from cli import main
from cli.main import app
from components.promote import promote, rollback
from lineage import golden, ledger
from lineage.audit import audit, exit_code
from segtrail.errors import LineageError, StageError
from segtrail.files import read_json, sha256_bytes, write_json
from segtrail.images import encode_png
from segtrail.workspace import Workspace
from serving import config


def state(workspace: Workspace) -> tuple[bytes, bytes]:
    return workspace.ledger(RECIPE).read_bytes(), workspace.models_config.read_bytes()


def test_back_to_what_the_champion_replaced_step_by_step(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    miniature.retrain(promoted, threshold=140)
    assert promote(promoted, RECIPE).version == 3
    back = rollback(promoted, RECIPE, reason="fewer false positives", by="Grace")
    assert (back.version, back.changed) == (2, True)
    last = ledger.read(promoted.ledger(RECIPE))[-1]
    assert (last.event, last.by, last.details["previous"]) == (ledger.DONE, "Grace", 3)
    assert last.details["rollback"] == "fewer false positives"
    assert "pixel for pixel" in last.details["load_test"]
    assert agreement.problems(promoted, RECIPE) == []
    assert exit_code(audit(promoted, RECIPE)) == 0
    # not to v3, which was left for a reason
    assert rollback(promoted, RECIPE, reason="v2 neither").version == 1
    with pytest.raises(StageError, match="v1 replaced no other version") as refused:
        rollback(promoted, RECIPE, reason="and further")
    assert "--to" in str(refused.value.hint)
    assert rollback(promoted, RECIPE, 3, reason="it was the images").version == 3
    assert agreement.problems(promoted, RECIPE) == []


def test_what_cannot_be_rolled_back_to(promoted: Workspace) -> None:
    before = state(promoted)
    assert not rollback(promoted, RECIPE, 1, reason="again").changed
    with pytest.raises(StageError, match=r"v7 never served; these did: \[1\]"):
        rollback(promoted, RECIPE, 7, reason="no such version")
    with pytest.raises(StageError, match="nothing of other serves"):
        rollback(promoted, "other", reason="no such ledger")
    assert state(promoted) == before


def test_a_version_that_is_not_what_served_moves_nothing(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    before = state(promoted)
    miniature.flip(promoted.models / RECIPE / "1" / "variables" / "threshold", at=0)
    with pytest.raises(LineageError, match="is not the model") as refused:
        rollback(promoted, RECIPE, 1, reason="x")
    assert refused.value.hint == "segtrail audit demo --version 1"
    assert state(promoted) == before


def test_a_version_that_answers_otherwise_than_it_did_moves_nothing(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    before = state(promoted)
    folder = promoted.models / RECIPE / "1" / golden.FOLDER
    index = folder / golden.INDEX
    for name, said in read_json(index).items():
        mask = folder / f"{name}.mask.png"
        mask.chmod(0o644)
        index.chmod(0o644)
        mask.write_bytes(encode_png(miniature.np.ones((12, 16), miniature.np.uint8)))
        said["mask_sha256"] = sha256_bytes(mask.read_bytes())
        write_json(index, read_json(index) | {name: said})
    with pytest.raises(StageError, match=r"mask's pixels differ .* nothing was changed") as refused:
        rollback(promoted, RECIPE, 1, reason="x")
    assert "--to" in str(refused.value.hint)
    assert state(promoted) == before
    assert config.champion(promoted.models_config, RECIPE) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "--by", "Ada"], "--reason"),
        (["demo", "--reason", "x"], "--by"),
        (["demo", "--by", " ", "--reason", "x"], "--by is empty"),
        (["--by", "Ada", "--reason", "x"], "recipe"),
        (["demo", "--to", "0", "--by", "Ada", "--reason", "x"], "--to"),
    ],
)
def test_the_command_asks_who_and_why(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["rollback", *arguments])
    assert result.exit_code == 2
    assert says in result.output


def test_the_command(promoted: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(promoted, RECIPE)
    monkeypatch.chdir(promoted.root)
    again = [RECIPE, "--to", "1", "--by", "Ada", "--reason", "a drill"]
    result = CliRunner().invoke(app, ["rollback", RECIPE, "--by", "Ada", "--reason", "a drill"])
    assert result.exit_code == 0, result.output
    assert result.output.count("MLflow alias champion names v1") == 1
    assert result.output.count("load test: ") == 1
    assert agreement.problems(promoted, RECIPE) == []
    result = CliRunner().invoke(app, ["rollback", *again])
    assert (result.exit_code, result.output) == (0, "v1 already serves\n")


OTHER = "  other: {dataset: tiny, serving: {targett: nowhere}}\n"


@pytest.mark.parametrize(
    ("text", "replaced", "by", "warning"),
    [
        ("another recipe is wrong", "recipes:\n", f"recipes:\n{OTHER}", "recipes.other."),
        ("it was renamed", "  demo:\n", "  cells:\n", "no recipe 'demo', its ledger is there"),
    ],
)
def test_what_params_yaml_says_of_others_is_not_in_the_way(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, text, replaced, by, warning
) -> None:
    promote(promoted, RECIPE)
    monkeypatch.chdir(promoted.root)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    params = promoted.params.read_text()
    assert replaced in params, text
    promoted.params.write_text(params.replace(replaced, by))
    options = ["--to", "1", "--by", "Ada", "--reason", "a drill"]
    for command in (["rollback", RECIPE, *options], ["history", RECIPE]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
        assert warning in line
    promoted.params.write_text(params)
    assert config.champion(promoted.models_config, RECIPE) == 1
    assert agreement.problems(promoted, RECIPE) == []


@pytest.mark.parametrize(
    "command",
    [
        ["rollback", "dem", "--by", "Ada", "--reason", "x"],
        ["promote", "--recipe", "dem"],
        ["promote", "--recipe", "dem", "--recover"],
        ["audit", "dem"],
    ],
)
def test_a_misspelt_recipe_is_usage(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, capsys, command: list[str]
) -> None:
    monkeypatch.chdir(promoted.root)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    assert main._run(command) == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err


def test_it_goes_on_when_nobody_listens_any_more(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(promoted, RECIPE)
    reads, writes = os.pipe()
    os.close(reads)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writes, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        assert rollback(promoted, RECIPE, reason="a drill").version == 1
    monkeypatch.undo()
    assert agreement.problems(promoted, RECIPE) == []
    assert config.champion(promoted.models_config, RECIPE) == 1
