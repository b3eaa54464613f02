"""A recipe may ask people: nothing is promoted without them, and the audit knows who they were."""

from __future__ import annotations

import json
from pathlib import Path

import miniature
import pytest
import yaml
from miniature import RECIPE

from components.promote import (
    approve,
    champion,
    confirm_canary,
    force,
    promote,
    rollback,
    show_canary,
)
from components.promotion import candidate
from lineage import approvals, forced, history, keys, ledger, provenance
from lineage.audit import audit
from segtrail import git, secrets
from segtrail.artifacts import Verdict
from segtrail.errors import ConfigError, StageError
from segtrail.files import read_json, write_json, write_text
from segtrail.workspace import Workspace


@pytest.fixture
def asking(promoted: Workspace) -> Workspace:
    """v1 serves; two people are to approve what comes."""
    return ask(promoted, approvals=2)


def ask(workspace: Workspace, **promotion: object) -> Workspace:
    path = workspace.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["recipes"][RECIPE]["promotion"] = promotion
    write_text(path, yaml.safe_dump(params))
    git.commit(workspace.root, ["params.yaml"], "Ask people")
    return workspace


def verdict_of(workspace: Workspace) -> dict:
    return read_json(Verdict.of(workspace, RECIPE).path)


def link(workspace: Workspace, signed: bool = False) -> tuple[str, str]:
    found = audit(workspace, RECIPE, signed=signed)
    (approved,) = [each for each in found if each.name == "approvals"]
    return approved.state, approved.says


def test_nothing_is_promoted_before_enough_people_approved(asking: Workspace) -> None:
    verdict = verdict_of(asking)
    with pytest.raises(StageError, match="0 of 2 people approved it") as e:
        promote(asking, RECIPE)
    assert str(e.value.hint).startswith("segtrail approve --recipe demo")
    first = approve(asking, RECIPE, verdict, by="Ada", reason="looked at each image")
    assert first is not None
    assert (first.event, first.by, first.model_digest) == (
        ledger.APPROVED, "Ada", verdict["model_digest"],
    )  # fmt: skip
    assert git.run(asking.root, "status", "--porcelain") == ""
    # the same person twice is one person
    assert approve(asking, RECIPE, verdict, by="Ada", reason="looked at each image") is None
    approve(asking, RECIPE, verdict, by="ADA", reason="again")
    with pytest.raises(StageError, match="1 of 2 people approved it"):
        promote(asking, RECIPE)
    approve(asking, RECIPE, verdict, by="Grace", reason="so did I")
    version = promote(asking, RECIPE).version
    assert champion(asking, RECIPE) == version
    statement = provenance.load(asking.models / RECIPE / str(version) / provenance.IN_MODEL)
    said = provenance.byproducts(statement)["approvals"]["annotations"]["approvals"]
    assert [each["by"] for each in said] == ["Ada", "Grace"]
    state, says = link(asking)
    assert (state, says.startswith("2 of 2 asked for: Ada on ")) == ("held", True)
    (_, last) = history.periods(ledger.read(asking.ledger(RECIPE)))
    assert last.why().endswith("; approved by Ada and Grace")
    assert [each["reason"] for each in last.approvals] == ["looked at each image", "so did I"]


def test_an_approval_is_of_one_model_only(asking: Workspace) -> None:
    for by in ("Ada", "Grace"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="fine")
    miniature.retrain(asking, 90)
    with pytest.raises(StageError, match="0 of 2"):
        promote(asking, RECIPE)


def test_who_forced_it_cannot_approve_it(asking: Workspace) -> None:
    path = Verdict.of(asking, RECIPE).path
    digest = candidate.digest_of(asking, RECIPE)
    verdict = miniature.verdict(digest, "fail", miniature.champion(asking), asking)
    write_json(path, verdict)
    with pytest.raises(StageError, match="what did not pass cannot be approved"):
        approve(asking, RECIPE, verdict, by="Ada", reason="I like it")
    force(asking, RECIPE, verdict, by="Ada", reason="v1 misses whole slides")
    word = forced.find(ledger.read(asking.ledger(RECIPE)), verdict)
    write_json(path, verdict | {"forced": word})
    with pytest.raises(StageError, match=r"ada forced this candidate .* somebody else"):
        approve(asking, RECIPE, verdict_of(asking), by="ada", reason="I like it")
    for by in ("Grace", "Alan"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="agreed")
    promote(asking, RECIPE)
    assert link(asking)[0] == "held"


def test_by_the_two_person_rule_who_promotes_does_not_approve(promoted: Workspace) -> None:
    """Git's identity is Ada <ada@example.org>."""
    ask(promoted, approvals=1, two_people=True)
    approve(promoted, RECIPE, verdict_of(promoted), by="ada", reason="fine")
    for by in (None, "Ada", "ADA <ada@elsewhere.org>"):
        with pytest.raises(StageError, match=r"0 of 1 person .*; ada, who promotes it, does not"):
            promote(promoted, RECIPE, by=by)
    promote(promoted, RECIPE, by="Grace")
    state, says = link(promoted)
    assert (state, "1 of 1 asked for: ada on" in says) == ("held", True)
    rollback(promoted, RECIPE, 1, reason="a drill", by="ada")
    rollback(promoted, RECIPE, 2, reason="the drill is over", by="ada")
    assert link(promoted)[0] == "held"


def test_who_promoted_by_the_ledger_did_not_approve(promoted: Workspace) -> None:
    ask(promoted, approvals=1, two_people=True)
    approve(promoted, RECIPE, verdict_of(promoted), by="Eve", reason="fine")
    promote(promoted, RECIPE, by="Grace")
    path = promoted.ledger(RECIPE)
    *before, last = path.read_text().splitlines()
    raw = json.loads(last) | {"by": "eve <eve@example.org>"}
    path.write_text("\n".join([*before, json.dumps(raw, sort_keys=True)]) + "\n")
    git.commit(promoted.root, [f"ledger/{RECIPE}.jsonl"], "Edited")
    git.run(promoted.root, "tag", "--force", f"{RECIPE}/v2", "HEAD")
    assert link(promoted) == ("broken", "eve promoted it and approved it: two_people")


def test_the_key_tells_who_promotes_whatever_name_is_claimed(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grace = trust(promoted, tmp_path, "grace")
    ask(promoted, approvals=1, two_people=True)
    monkeypatch.setenv(secrets.KEY, str(grace.private))
    approve(promoted, RECIPE, verdict_of(promoted), by="Grace", reason="fine")
    with pytest.raises(StageError, match="Grace, who promotes it, does not count"):
        promote(promoted, RECIPE, by="the scheduler")
    monkeypatch.delenv(secrets.KEY)
    promote(promoted, RECIPE, by="the scheduler")
    assert link(promoted)[0] == "held"


def test_the_two_person_rule_needs_somebody_to_ask(promoted: Workspace) -> None:
    ask(promoted, two_people=True)
    with pytest.raises(ConfigError, match="give approvals: 1"):
        promote(promoted, RECIPE)


def test_a_canary_needs_nobody_until_it_is_to_be_the_champion(asking: Workspace) -> None:
    shown = show_canary(asking, RECIPE)
    (found,) = [x for x in audit(asking, RECIPE, version=shown.version) if x.name == "approvals"]
    assert (found.state, found.says) == ("held", "a canary needs nobody's")
    with pytest.raises(StageError, match="0 of 2"):
        confirm_canary(asking, RECIPE)
    for by in ("Ada", "Grace"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="watched it for a week")
    assert confirm_canary(asking, RECIPE).version == shown.version
    assert link(asking)[0] == "held"


def test_what_serves_already_is_not_to_be_approved(asking: Workspace) -> None:
    for by in ("Ada", "Grace"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="fine")
    promote(asking, RECIPE)
    with pytest.raises(StageError, match="serves already"):
        approve(asking, RECIPE, verdict_of(asking), by="Eve", reason="late")


def test_a_rollback_waits_for_nobody_and_what_comes_back_was_approved(asking: Workspace) -> None:
    for by in ("Ada", "Grace"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="fine")
    promote(asking, RECIPE)
    rollback(asking, RECIPE, 1, reason="a drill", by="Ada")
    rollback(asking, RECIPE, 2, reason="the drill is over", by="Ada")
    assert link(asking)[0] == "held"


def test_a_recipe_that_asks_nobody(promoted: Workspace) -> None:
    assert link(promoted) == ("held", "nobody's were asked for")


def test_where_signatures_are_demanded_each_approval_is_signed_by_its_person(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = {name: trust(promoted, tmp_path, name) for name in ("ada", "grace")}
    ask(promoted, approvals=1)
    approve(promoted, RECIPE, verdict_of(promoted), by="Eve", reason="claimed")
    ask(promoted, approvals=1, signatures="required")
    monkeypatch.setenv(secrets.KEY, str(pairs["ada"].private))
    with pytest.raises(StageError, match="0 of 1 person approved it"):
        promote(promoted, RECIPE)  # Eve's was a claim
    with pytest.raises(ConfigError, match="the key of ada, and this is to be the word of grace"):
        approve(promoted, RECIPE, verdict_of(promoted), by="grace", reason="as if")
    monkeypatch.setenv(secrets.KEY, str(pairs["grace"].private))
    approve(promoted, RECIPE, verdict_of(promoted), by="Grace", reason="looked")
    monkeypatch.setenv(secrets.KEY, str(pairs["ada"].private))
    promote(promoted, RECIPE)
    state, says = link(promoted)
    assert (state, "1 of 1 asked for: Grace" in says) == ("held", True)


def test_an_auditor_who_demands_signatures_does_not_take_a_claim(asking: Workspace) -> None:
    for by in ("Ada", "Grace"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="fine")
    promote(asking, RECIPE)
    assert link(asking, signed=True) == ("broken", "line 3: is not signed with the key of Ada")


def test_what_git_does_not_hold_any_more_was_not_approved(asking: Workspace) -> None:
    """The words of the last line, without the lines that they point to."""
    for by in ("Ada", "Grace"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="fine")
    promote(asking, RECIPE)
    path = asking.ledger(RECIPE)
    path.write_text(path.read_text().replace('"approved"', '"rejected"'))
    state, says = link(asking)
    assert (state, says) == ("broken", "the ledger does not say that Ada approved it")


def trust(workspace: Workspace, folder: Path, name: str) -> keys.Pair:
    made = keys.new(workspace.root, name, None, folder / f"{name}.pem")
    git.commit(workspace.root, [f"trust/{name}.pem"], f"{name} may sign")
    return made


def test_the_words_of_what_is_lacking(asking: Workspace) -> None:
    approve(asking, RECIPE, verdict_of(asking), by="Ada", reason="fine")
    found, lacking = approvals.ask(asking, RECIPE, verdict_of(asking))
    assert [each["entry"] for each in found] == [3]
    assert str(lacking).startswith("1 of 2 people approved it (Ada on 2")


def test_one_person_named_twice_is_one_person(asking: Workspace) -> None:
    for by in ("Ada", "Grace"):
        approve(asking, RECIPE, verdict_of(asking), by=by, reason="fine")
    promote(asking, RECIPE)
    path = asking.ledger(RECIPE)
    *before, last = path.read_text().splitlines()
    raw = json.loads(last)
    raw["details"]["approvals"] = [raw["details"]["approvals"][0]] * 2
    path.write_text("\n".join([*before, json.dumps(raw, sort_keys=True)]) + "\n")
    git.commit(asking.root, [f"ledger/{RECIPE}.jsonl"], "Edited")
    git.run(asking.root, "tag", "--force", f"{RECIPE}/v2", "HEAD")
    assert link(asking) == ("broken", "1 of 2 people approved it")
