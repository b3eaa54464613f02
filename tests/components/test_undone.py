"""A promotion that is undone: what may have answered stays in the store, and is told of."""

from __future__ import annotations

import agreement
import miniature
import pytest
from miniature import RECIPE

from components.promote import promote, recover, show_canary
from components.promotion import steps
from lineage import ledger, ledger_events, provenance
from lineage.audit import audit, exit_code
from segtrail.errors import ServingError, StageError
from segtrail.workspace import Workspace
from serving import config, store


def failing_after(monkeypatch: pytest.MonkeyPatch, workspace: Workspace, name: str) -> None:
    """Promotes; the server is lost to us when this step has been taken."""

    def fail(plan: object) -> str:
        raise ServingError("the server answers with another version")

    fail.__name__ = name
    number = [step.__name__ for step in steps.STEPS].index(name)
    taken = [*steps.STEPS[: number + 1], fail, *steps.STEPS[number + 1 :]]
    with monkeypatch.context() as patch:
        patch.setattr(steps, "STEPS", taken)
        with pytest.raises(StageError, match="answers with another version"):
            promote(workspace, RECIPE)


@pytest.mark.parametrize("name", ["introduce", "retire", "confirm"])
def test_what_may_have_answered_is_kept_told_of_and_promoted_later(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    failing_after(monkeypatch, promoted, name)
    assert config.champion(promoted.models_config, RECIPE) == 1
    assert agreement.problems(promoted, RECIPE) == []
    assert store.versions(promoted.models, RECIPE) == [1, 2]
    proof = (promoted.models / RECIPE / "2" / provenance.IN_MODEL).read_bytes()
    entries = ledger.read(promoted.ledger(RECIPE))
    assert entries[-1].event == ledger.FAILED
    assert entries[-1].details["may_have_answered"] is True
    (told,) = ledger_events.events(entries)
    assert told.says.endswith("; it may have answered requests, and it is kept in the store")
    assert exit_code(audit(promoted, RECIPE)) == 0
    links = audit(promoted, RECIPE, version=2)
    assert exit_code(links) == 0, [link for link in links if link.state == "broken"]
    (says,) = [link.says for link in links if link.name == "ledger"]
    assert says.endswith("v2 may have answered before entry 4, by which it failed")
    miniature.retrain(promoted, threshold=120)  # the same model, evaluated and judged anew
    assert promote(promoted, RECIPE).version == 2
    assert agreement.problems(promoted, RECIPE) == []
    assert (promoted.models / RECIPE / "2" / provenance.IN_MODEL).read_bytes() == proof
    assert exit_code(audit(promoted, RECIPE)) == 0


def test_what_failed_its_load_test_cannot_have_answered(promoted: Workspace) -> None:
    miniature.retrain(promoted, threshold=140, answers_by=60)
    with pytest.raises(StageError, match="v1 serves on"):
        promote(promoted, RECIPE)
    assert store.versions(promoted.models, RECIPE) == [1]
    last = ledger.read(promoted.ledger(RECIPE))[-1]
    assert (last.details["may_have_answered"], last.details["kept"]) == (False, False)


def test_a_later_failure_does_not_take_away_what_may_have_answered_before(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_after(monkeypatch, promoted, "confirm")
    failing_after(monkeypatch, promoted, "load_test")
    assert store.versions(promoted.models, RECIPE) == [1, 2]
    assert agreement.problems(promoted, RECIPE) == []


def test_what_answered_before_the_undoing_was_cut_short_is_kept(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration does not name it any more; the next attempt fails at its load test."""

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    def fail(plan: object) -> str:
        raise ServingError("no")

    fail.__name__ = "load_test"
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(ledger, "append", keep_first(ledger.append, crash))
        failing_after(patch, promoted, "confirm")
    assert config.read(promoted.models_config)[RECIPE].versions == (1,)
    with monkeypatch.context() as patch:
        number = [step.__name__ for step in steps.STEPS].index("load_test")
        taken = [*steps.STEPS[:number], fail, *steps.STEPS[number + 1 :]]
        patch.setattr(steps, "STEPS", taken)
        with pytest.raises(StageError, match="v1 serves on"):
            recover(promoted)
    assert store.versions(promoted.models, RECIPE) == [1, 2]
    assert agreement.problems(promoted, RECIPE) == []


def keep_first(real, then):
    """Returns a function that is `real` once and `then` from the second call on."""
    calls: list[None] = []

    def call(*args: object, **kwargs: object) -> object:
        calls.append(None)
        return real(*args, **kwargs) if len(calls) == 1 else then()

    return call


def test_a_first_promotion_that_failed_leaves_nothing_that_the_audit_misses(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_after(monkeypatch, workspace, "confirm")
    assert store.versions(workspace.models, RECIPE) == [1]
    links = audit(workspace, RECIPE)
    assert {link.state for link in links} == {"not checked"}
    assert "no version of demo was ever promoted" in links.links[0].says
    with pytest.raises(StageError, match="nothing of demo serves yet"):
        show_canary(workspace, RECIPE)
    assert promote(workspace, RECIPE).version == 1
    assert agreement.problems(workspace, RECIPE) == []
