"""The periods of service that a ledger tells of, in ledgers as segtrail writes them."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import miniature
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from miniature import RECIPE

from components.promote import force, promote, recover, reject, rollback
from components.promotion import candidate, steps
from lineage import forced, history, ledger, ledger_events, origin
from segtrail.artifacts import Verdict
from segtrail.errors import LineageError
from segtrail.files import read_json, write_json
from segtrail.workspace import Workspace
from serving import config

START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
EVENTS = st.lists(st.tuples(st.sampled_from(ledger.EVENTS), st.integers(1, 9)), max_size=8)


class Crash(BaseException):
    """Like a SIGKILL, nothing in the code catches it."""


def written(folder: Path, events: list[tuple[str, int]]) -> list[ledger.Entry]:
    """Writes a ledger of these events, a minute apart, and returns its entries."""
    path = folder / "demo.jsonl"
    for minute, (event, version) in enumerate(events):
        ledger.append(
            path, event, version=version, model_digest="a" * 64, by="Ada",
            at=START + timedelta(minutes=minute),
        )  # fmt: skip
    return ledger.read(path)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
@example([(event, 1) for event in ledger.EVENTS])
def test_periods_last_until_the_next_or_until_the_recipe_was_retired(
    events: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        entries = written(Path(folder), events)
    served = history.periods(entries)
    assert [p.entry for p in served] == [e.seq for e in entries if e.event == ledger.DONE]
    moves = [e for e in entries if e.event in (ledger.DONE, ledger.RETIRED)]
    ends = dict(zip((e.seq for e in moves), [*(e.at for e in moves[1:]), None], strict=False))
    assert [p.until for p in served] == [ends[p.entry] for p in served]
    assert all(p.since < p.until for p in served if p.until)
    last = ledger.champion(entries)
    going_on = [p.version for p in served[-1:] if p.until is None]
    assert going_on == ([last.version] if last else [])


@settings(max_examples=40, deadline=None)
@given(EVENTS)
@example([(event, 1) for event in ledger.EVENTS])
def test_each_entry_is_told_once_unless_it_is_an_intent_that_was_closed(
    events: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        entries = written(Path(folder), events)
    told = [p.entry for p in history.periods(entries)]
    told += [e.entry for e in ledger_events.events(entries)]
    assert len(told) == len(set(told))
    closes, intents = ledger.CLOSES, ledger.INTENTS
    for entry in entries:
        after = [e.event for e in entries[entry.seq :] if e.event in (*intents, *closes)]
        closed = entry.event in intents and bool(after) and after[0] in closes
        assert (entry.seq in told) != closed


def test_how_long_a_version_served(tmp_path: Path) -> None:
    entries = written(tmp_path, [("done", 1), ("rejected", 2), ("done", 3)])
    first, last = history.periods(entries)
    now = START + timedelta(hours=1)
    assert (first.seconds(now), last.seconds(now)) == (120, 3480)
    assert (first.until, last.until) == ("2026-03-01T12:32:00+00:00", None)


def turned_down(workspace: Workspace) -> dict:
    """Makes the gate's verdict on the present candidate a `fail`."""
    path, digest = Verdict.of(workspace, RECIPE).path, candidate.digest_of(workspace, RECIPE)
    write_json(path, miniature.verdict(digest, "fail", miniature.champion(workspace), workspace))
    return read_json(path)


def test_a_promotion_a_rejection_a_force_and_rollbacks(promoted: Workspace) -> None:
    verdict = turned_down(promoted)
    reject(promoted, RECIPE, verdict, by="the gate")
    force(promoted, RECIPE, verdict, by="Grace", reason="v1 misses whole slides")
    entries = history.read(promoted, RECIPE)
    verdict["forced"] = forced.find(entries, verdict)
    write_json(Verdict.of(promoted, RECIPE).path, verdict)
    promote(promoted, RECIPE, by="Ada")
    rollback(promoted, RECIPE, 1, reason="a drill", by="Alan")
    rollback(promoted, RECIPE, 2, reason="the drill is over", by="Alan")
    entries = history.read(promoted, RECIPE)
    first, second, third, last = history.periods(entries)
    assert [p.version for p in (first, second, third, last)] == [1, 2, 1, 2]
    assert [p.came for p in (first, second, third, last)] == ["gate", "force", *["rollback"] * 2]
    assert (second.by, second.reason, second.previous) == ("Ada", "v1 misses whole slides", 1)
    assert first.why() == "promoted by the gate"
    assert second.why() == "forced by Grace because v1 misses whole slides"
    assert third.why() == "rollback from v2 by Alan because a drill"
    assert last.why() == (
        "rollback from v1 by Alan because the drill is over; this version was once forced by "
        "Grace because v1 misses whole slides"
    )
    assert third.git_commit == first.git_commit != second.git_commit
    assert third.provenance_sha256 == first.provenance_sha256
    told = ledger_events.events(entries)
    assert [e.event for e in told] == ["rejected", "forced"]
    short = verdict["model_digest"][:12]
    assert told[0].says == f"candidate {short} rejected, fail: mean_iou >= 0.5: 0.75 >= 0.5"
    assert told[1].says.startswith(f"candidate {short} forced by Grace because v1 misses whole")
    assert history.disagreement(promoted, RECIPE, entries) is None


def crash_after(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Promotes, and crashes when this step has been taken."""

    def die(plan: object) -> str:
        raise Crash

    names = [each.__name__ for each in steps.STEPS]
    with monkeypatch.context() as patch:
        patch.setattr(steps, "STEPS", [*steps.STEPS[: names.index(step) + 1], die])
        with pytest.raises(Crash):
            promote(workspace, RECIPE)


def test_a_crash_after_the_switch_is_told_and_its_recovery_too(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_after(promoted, monkeypatch, "serve")
    entries = history.read(promoted, RECIPE)
    (served,) = history.periods(entries)
    assert (served.version, served.until, served.recovered) == (1, None, False)
    (open_,) = ledger_events.events(entries)
    assert (open_.event, open_.version) == ("unfinished", 2)
    says = history.disagreement(promoted, RECIPE, entries)
    assert says is not None
    assert "names v2 of demo; the ledger ends with v1" in says.message
    assert says.hint == "segtrail promote --recipe demo --recover"
    recover(promoted, RECIPE)
    entries = history.read(promoted, RECIPE)
    assert history.disagreement(promoted, RECIPE, entries) is None
    assert ledger_events.events(entries) == []
    first, second = history.periods(entries)
    assert (first.until, second.version, second.recovered) == (second.since, 2, True)
    assert second.why("IoU 0.9") == "promoted by the gate: IoU 0.9; finished by a recovery"


def test_a_crash_before_the_switch_is_undone_and_told(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_after(promoted, monkeypatch, "intend")
    assert history.disagreement(promoted, RECIPE, history.read(promoted, RECIPE)) is None
    recover(promoted, RECIPE)
    entries = history.read(promoted, RECIPE)
    assert [p.version for p in history.periods(entries)] == [1]
    (undone,) = ledger_events.events(entries)
    assert undone.event == "abandoned"
    assert undone.says.startswith("cut short, then undone by a recovery: the store does not")


def test_what_a_version_was_made_from(promoted: Workspace) -> None:
    (served,) = history.periods(history.read(promoted, RECIPE))
    made = origin.of_version(promoted, RECIPE, 1, served.provenance_sha256)
    assert (made.stored, made.problem, made.dataset) == (True, None, miniature.DATASET)
    assert str(made.data_dvc_md5).endswith(".dir")
    assert len(str(made.data_sha256)) == 64
    assert len(str(made.mlflow_run)) == 32
    assert made.numbers == "mean_iou >= 0.5: 0.750"
    assert "not the one the ledger" in str(origin.of_version(promoted, RECIPE, 1, "f").problem)
    assert not origin.of_version(promoted, RECIPE, 7, "f").stored


def test_the_main_rule_is_on_all_images_and_the_change_has_its_sign() -> None:
    rule = {
        "rule": "mean_iou >= 0.8 for sure", "metric": "mean_iou", "kind": "absolute",
        "slice": "all", "value": 0.8231, "interval": [0.7771, 0.8591], "confidence": 0.95,
        "verdict": "pass", "decides": True,
    }  # fmt: skip
    change = rule | {"kind": "relative", "value": 0.004, "interval": None}
    made = origin.Origin(stored=True, rule=rule, change=change)
    assert made.numbers == (
        "mean_iou >= 0.8 for sure: 0.823 (95% 0.777 to 0.859); mean_iou +0.0040 against the "
        "champion"
    )
    assert origin._first([rule | {"slice": "stained"}, rule]) == rule
    unknown = rule | {"value": None, "verdict": "insufficient evidence"}
    assert origin.Origin(True, rule=unknown).numbers.endswith(": insufficient evidence")


def test_a_tampered_line_is_refused(promoted: Workspace) -> None:
    path = promoted.ledger(RECIPE)
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 3', 1))
    with pytest.raises(LineageError, match=r"line 2: names .* as the line before it"):
        history.read(promoted, RECIPE)


@pytest.mark.parametrize(
    "change",
    [(b"2026-03-01T12:30:00+00:00", b"yesterday"), (b'"version": 1', b'"version": null')],
)
def test_a_last_line_that_makes_no_sense_is_refused(
    tmp_path: Path, change: tuple[bytes, bytes]
) -> None:
    """The chain does not cover it."""
    written(tmp_path, [("done", 1)])
    content = (tmp_path / "demo.jsonl").read_bytes()
    assert ledger.check(content.replace(*change)) == []
    with pytest.raises(LineageError, match="line 1: not a promotion as segtrail writes it"):
        history.periods(ledger.parse(content.replace(*change)))


def test_a_configuration_that_names_nothing_or_cannot_be_read(promoted: Workspace) -> None:
    entries = history.read(promoted, RECIPE)
    config.withdraw(promoted.models_config, RECIPE)
    assert "names no version of demo; the ledger ends with v1" in str(
        history.disagreement(promoted, RECIPE, entries)
    )
    promoted.models_config.write_text("nonsense {")
    says = str(history.disagreement(promoted, RECIPE, entries))
    assert "not a ModelServerConfig" in says
    assert says.endswith("--recover")
