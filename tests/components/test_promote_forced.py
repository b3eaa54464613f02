"""A candidate that a person lets past the gate: on record everywhere, and for this verdict only."""

from __future__ import annotations

from pathlib import Path

import miniature
import pytest
import yaml
from miniature import RECIPE

from components.promote import champion, force, promote, rollback
from components.promotion import candidate
from lineage import forced, ledger, provenance
from lineage.audit import audit, exit_code
from segtrail import git
from segtrail.artifacts import Verdict
from segtrail.errors import RejectedError, SegtrailError, StageError
from segtrail.files import read_json, write_json, write_text
from segtrail.params import dump, load_recipe
from segtrail.workspace import Workspace


@pytest.fixture
def failed(promoted: Workspace) -> Workspace:
    """v1 serves; the gate turned the present candidate down."""
    digest = candidate.digest_of(promoted, RECIPE)
    verdict = miniature.verdict(digest, "fail", miniature.champion(promoted), promoted)
    write_json(Verdict.of(promoted, RECIPE).path, verdict)
    return promoted


def judged_again(workspace: Workspace) -> dict:
    """Writes the verdict as the gate does: with what the ledger says of it."""
    path = Verdict.of(workspace, RECIPE).path
    verdict = read_json(path)
    verdict["forced"] = forced.find(ledger.read(workspace.ledger(RECIPE)), verdict)
    write_json(path, verdict)
    return verdict


def test_a_forced_candidate_serves_and_everything_says_so(failed: Workspace) -> None:
    verdict = read_json(Verdict.of(failed, RECIPE).path)
    entry = force(failed, RECIPE, verdict, by="Grace", reason="v1 misses whole slides")
    assert entry is not None
    assert (entry.event, entry.version, entry.by) == (ledger.FORCED, None, "Grace")
    assert entry.details["reason"] == "v1 misses whole slides"
    assert entry.details["rules"] == verdict["rules"]
    assert git.run(failed.root, "status", "--porcelain") == ""
    assert force(failed, RECIPE, verdict, by="Grace", reason="v1 misses whole slides") is None
    found = judged_again(failed)["forced"]
    assert found == {"by": "Grace", "reason": "v1 misses whole slides", "at": entry.at, "entry": 3}
    done = promote(failed, RECIPE)
    assert champion(failed, RECIPE) == done.version == 2
    record = ledger.champion(ledger.read(failed.ledger(RECIPE)))
    assert record is not None
    assert record.details["forced"] == found
    statement = provenance.load(failed.models / RECIPE / "2" / provenance.IN_MODEL)
    said = provenance.byproducts(statement)["verdict/verdict.json"]["annotations"]["verdict"]
    assert (said["verdict"], said["forced"]) == ("fail", found)
    links = audit(failed, RECIPE)
    (says,) = [link.says for link in links if link.name == "verdict"]
    assert "did not pass (mean_iou >= 0.5); FORCED by Grace (claimed)" in says
    assert "v1 misses whole slides" in says
    assert exit_code(links) == 0


def test_a_forced_version_that_serves_again_is_still_a_forced_one(failed: Workspace) -> None:
    verdict = read_json(Verdict.of(failed, RECIPE).path)
    force(failed, RECIPE, verdict, by="Grace", reason="v1 misses whole slides")
    found = judged_again(failed)["forced"]
    promote(failed, RECIPE)
    rollback(failed, RECIPE, 1, reason="a drill")
    rollback(failed, RECIPE, 2, reason="the drill is over")
    entries = ledger.read(failed.ledger(RECIPE))
    assert forced.of_version(entries, 2) == found
    assert forced.of_version(entries, 1) is None
    git.run(failed.root, "tag", "-d", f"{RECIPE}/v2")  # the ledger's file alone tells
    (link,) = [link for link in audit(failed, RECIPE) if link.name == "verdict"]
    assert (link.state, "FORCED by Grace" in link.says) == ("held", True)


def test_without_the_ledgers_word_a_verdict_that_says_forced_is_refused(failed: Workspace) -> None:
    path = Verdict.of(failed, RECIPE).path
    claimed = {"by": "Eve", "reason": "let me in", "at": "2026-01-01T00:00:00+00:00", "entry": 1}
    write_json(path, read_json(path) | {"forced": claimed})
    with pytest.raises(RejectedError, match="'fail'"):
        promote(failed, RECIPE)
    assert champion(failed, RECIPE) == 1


@pytest.mark.parametrize("changed", ["model_digest", "champion", "gate", "test_split"])
def test_it_lapses_when_what_it_rests_on_changes(failed: Workspace, changed: str) -> None:
    path = Verdict.of(failed, RECIPE).path
    verdict = read_json(path)
    force(failed, RECIPE, verdict, by="Grace", reason="why not")
    entries = ledger.read(failed.ledger(RECIPE))
    assert forced.find(entries, verdict) is not None
    assert forced.find(entries, verdict | {changed: None}) is None


def test_other_rules_in_params_stop_a_forced_candidate(failed: Workspace) -> None:
    force(failed, RECIPE, read_json(Verdict.of(failed, RECIPE).path), by="Grace", reason="x")
    judged_again(failed)
    params = yaml.safe_load(failed.params.read_text())
    params["recipes"][RECIPE]["gate"]["absolute"][0]["min"] = 0.99
    write_text(failed.params, yaml.safe_dump(params))
    with pytest.raises(StageError, match="reached by other rules"):
        promote(failed, RECIPE)


def test_what_passes_needs_no_force(failed: Workspace) -> None:
    with pytest.raises(StageError, match="there is nothing to force"):
        force(failed, RECIPE, miniature.verdict("d" * 64), by="Grace", reason="x")
    assert [e.event for e in ledger.read(failed.ledger(RECIPE))] == ["intent", "done"]


def test_an_audit_misses_the_entry_that_forced_it(failed: Workspace, tmp_path: Path) -> None:
    force(failed, RECIPE, read_json(Verdict.of(failed, RECIPE).path), by="Grace", reason="x")
    judged_again(failed)
    promote(failed, RECIPE)
    path = failed.ledger(RECIPE)
    path.write_bytes(path.read_bytes().replace(b'"forced", "model', b'"failed", "model'))
    broken = {link.name for link in audit(failed, RECIPE) if link.state == "broken"}
    assert {"verdict", "ledger"} <= broken


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--force"], "--force needs --by NAME and --reason TEXT"),
        (["--force", "--by", "Grace"], "--force needs --by NAME and --reason TEXT"),
        (["--force", "--by", " ", "--reason", "x"], "--force needs --by NAME and --reason TEXT"),
        (["--reason", "x"], "--by and --reason are of --force"),
    ],
)
def test_the_command_asks_who_answers_for_it(arguments: list[str], says: str) -> None:
    from typer.testing import CliRunner

    from cli.main import app

    result = CliRunner().invoke(app, ["gate", "--recipe", RECIPE, *arguments])
    assert result.exit_code == 2
    assert says.split()[0] in result.output
    assert not isinstance(result.exception, SegtrailError)


@pytest.mark.parametrize(
    ("rules", "verdict", "says"),
    [
        ({"relative": [{"metric": "mean_iou"}]}, {}, "no relative rule on mean_iou of all"),
        ({"absolute": [{"metric": "mean_iou", "min": 0.5, "judged": "bound"}]}, {},
         "no absolute rule on mean_iou of all"),
        ({"absolute": [{"metric": "mean_iou", "min": 0.6}]}, {}, "no absolute rule on mean_iou"),
        ({}, {"decides": False}, "what too few images do"),
        ({}, {"verdict": "insufficient evidence"}, "the verdict on mean_iou >= 0.5"),
    ],
)  # fmt: skip
def test_a_pass_that_lacks_a_rule_of_the_recipe_breaks_the_audit(
    promoted: Workspace, rules: dict, verdict: dict, says: str
) -> None:
    params = yaml.safe_load(promoted.params.read_text())
    params["recipes"][RECIPE]["gate"] |= rules
    write_text(promoted.params, yaml.safe_dump(params))
    git.commit(promoted.root, ["params.yaml"], "Other rules")
    digest = candidate.digest_of(promoted, RECIPE)
    said = miniature.verdict(digest, "pass", miniature.champion(promoted), promoted)
    said["gate"] = dump(load_recipe(promoted, RECIPE).gate)
    said["rules"][0] |= verdict
    write_json(Verdict.of(promoted, RECIPE).path, said)
    promote(promoted, RECIPE)
    (link,) = [link for link in audit(promoted, RECIPE) if link.name == "verdict"]
    assert link.state == "broken"
    assert says in link.says


def test_a_verdict_on_another_evaluation_is_refused(promoted: Workspace) -> None:
    digest = candidate.digest_of(promoted, RECIPE)
    said = miniature.verdict(digest, "pass", miniature.champion(promoted), promoted)
    said["evaluation"]["metrics.json"] = "0" * 64
    write_json(Verdict.of(promoted, RECIPE).path, said)
    with pytest.raises(StageError, match="reached on another evaluation"):
        promote(promoted, RECIPE)


def test_a_verdict_of_before_it_was_forced_is_to_be_reached_anew(failed: Workspace) -> None:
    force(failed, RECIPE, read_json(Verdict.of(failed, RECIPE).path), by="Grace", reason="x")
    with pytest.raises(StageError, match="does not say that Grace forced it") as refused:
        promote(failed, RECIPE)
    assert refused.value.hint == f"segtrail gate --recipe {RECIPE}"


def test_another_persons_word_is_another_entry(failed: Workspace) -> None:
    verdict = read_json(Verdict.of(failed, RECIPE).path)
    assert force(failed, RECIPE, verdict, by="Grace", reason="x") is not None
    assert force(failed, RECIPE, verdict, by="Ada", reason="x") is not None
    assert force(failed, RECIPE, verdict, by="Ada", reason="x") is None
    judged_again(failed)
    promote(failed, RECIPE)
    # a word that is given later, to the same model, does not change whose word it was
    rollback(failed, RECIPE, 1, reason="a drill")
    force(failed, RECIPE, verdict, by="Grace", reason="x again")
    (link,) = [link for link in audit(failed, RECIPE, version=2) if link.name == "verdict"]
    assert (link.state, "FORCED by Ada" in link.says) == ("held", True)
