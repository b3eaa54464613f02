"""A candidate beside the champion: out, confirmed or aborted, and after crashes."""

from __future__ import annotations

import agreement
import miniature
import pytest
from miniature import RECIPE
from typer.testing import CliRunner

from cli.main import app
from components import registry
from components.promote import (
    abort_canary,
    confirm_canary,
    promote,
    recover,
    rollback,
    show_canary,
)
from components.promotion import canary as steps_of_canary
from components.promotion import steps
from flows import outcome
from lineage import history, ledger, ledger_events
from lineage.audit import audit, exit_code
from segtrail import git
from segtrail.errors import ConfigError, LineageError, StageError
from segtrail.params import load_params
from segtrail.workspace import Workspace
from serving import config
from serving.launch import running_server


class Crash(BaseException):
    """Like a SIGKILL, nothing in the code catches it."""


def crash(*_: object) -> None:
    raise Crash


def served(workspace: Workspace) -> dict[str, tuple[int, ...]]:
    return {name: m.versions for name, m in config.read(workspace.models_config).items()}


def agrees(workspace: Workspace, **wanted: tuple[int, ...]) -> None:
    assert agreement.problems(workspace, RECIPE) == []
    assert served(workspace) == {name.replace("_", "-"): v for name, v in wanted.items()}


def test_a_canary_is_served_beside_the_champion_and_confirmed(promoted: Workspace) -> None:
    out = show_canary(promoted, RECIPE, by="Grace")
    assert (out.version, out.changed) == (2, True)
    agrees(promoted, demo=(1,), demo_canary=(2,))
    assert git.tag_target(promoted.root, "demo/v2") is None
    assert not show_canary(promoted, RECIPE).changed
    with running_server(
        RECIPE, log=promoted.scratch / "log", config=promoted.models_config
    ) as server:
        from serving.client import SegmentationClient

        with SegmentationClient(server.target) as client:
            assert client.served_version(RECIPE) == 1
            assert client.served_version("demo-canary") == 2
    assert exit_code(audit(promoted, RECIPE)) == 0
    assert exit_code(audit(promoted, RECIPE, version=2)) == 0
    with pytest.raises(StageError, match=r"v2 is out as a canary since .*; a promotion waits"):
        promote(promoted, RECIPE)
    assert "v2 is out as a canary" in str(outcome.canary_warning(promoted, RECIPE))
    done = confirm_canary(promoted, RECIPE, by="Ada")
    assert outcome.canary_warning(promoted, RECIPE) is None
    assert done.version == 2
    agrees(promoted, demo=(2,))
    entries = ledger.read(promoted.ledger(RECIPE))
    assert [e.event for e in entries[2:]] == ["canary-intent", "canary", "intent", "done"]
    (_, last) = history.periods(entries)
    assert last.why() == "promoted by the gate, after a canary"
    assert exit_code(audit(promoted, RECIPE)) == 0
    with pytest.raises(StageError, match="no canary of demo is out"):
        confirm_canary(promoted, RECIPE)


def test_an_aborted_canary_stays_in_the_store(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    abort_canary(promoted, RECIPE, reason="misses mitotic cells", by="Grace")
    agrees(promoted, demo=(1,))
    assert (promoted.models / RECIPE / "2").is_dir()
    told = [e.says for e in ledger_events.events(ledger.read(promoted.ledger(RECIPE)))]
    assert told == [
        "out as a canary beside v1", "canary taken away by Grace because misses mitotic cells",
    ]  # fmt: skip
    assert exit_code(audit(promoted, RECIPE, version=2)) == 0
    with pytest.raises(StageError, match="no canary"):
        abort_canary(promoted, RECIPE, reason="twice")


def test_a_canary_needs_a_champion(workspace: Workspace) -> None:
    with pytest.raises(StageError, match="nothing of demo serves yet"):
        show_canary(workspace, RECIPE)


def test_one_canary_at_a_time(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    miniature.retrain(promoted, threshold=140)
    with pytest.raises(StageError, match="another canary waits") as refused:
        show_canary(promoted, RECIPE)
    assert "--confirm" in str(refused.value.hint)


def test_a_canary_judged_against_another_champion_is_not_confirmed(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    miniature.retrain(promoted, threshold=140)
    show_canary(promoted, RECIPE)
    rollback(promoted, RECIPE, reason="v2 fails")  # an emergency does not wait for a canary
    agrees(promoted, demo=(1,), demo_canary=(3,))
    with pytest.raises(StageError, match="v3 was judged against v2; what serves is v1"):
        confirm_canary(promoted, RECIPE)


def test_a_candidate_that_fails_its_load_test_is_no_canary(promoted: Workspace) -> None:
    miniature.retrain(promoted, threshold=140, answers_by=60)
    with pytest.raises(StageError, match=r"v2 is not out as a canary: .* v1 serves on"):
        show_canary(promoted, RECIPE)
    agrees(promoted, demo=(1,))


NAMES = [step.__name__ for step in steps.CANARY_STEPS]


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_a_crash_on_the_way_out_is_recovered(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(steps, "CANARY_STEPS", [*steps.CANARY_STEPS[: number + 1], crash])
        with pytest.raises(Crash):
            show_canary(promoted, RECIPE)
    recover(promoted)
    stored = number >= NAMES.index("place")
    agrees(promoted, demo=(1,), **({"demo_canary": (2,)} if stored else {}))
    assert recover(promoted) == []


@pytest.mark.parametrize("after", ["serve", "finish"])
def test_a_crash_while_it_is_confirmed_is_recovered(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    show_canary(promoted, RECIPE)
    number = [step.__name__ for step in steps.STEPS].index(after)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "STEPS", [*steps.STEPS[: number + 1], crash])
        with pytest.raises(Crash):
            confirm_canary(promoted, RECIPE)
    recover(promoted)
    agrees(promoted, demo=(2,))


@pytest.mark.parametrize("where", ["take_away", "registry", "withdraw"])
def test_a_crash_while_it_is_aborted_is_recovered(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    show_canary(promoted, RECIPE)
    target, name = {
        "take_away": (steps_of_canary, "take_away"),
        "registry": (steps_of_canary.registry, "set_canary"),
        "withdraw": (steps_of_canary.config, "withdraw"),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, crash)
        with pytest.raises(Crash):
            abort_canary(promoted, RECIPE, reason="x")
    assert recover(promoted)
    agrees(promoted, demo=(1,))


def test_a_lost_configuration_is_written_anew_with_the_canary(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    promoted.models_config.unlink()
    recover(promoted)
    agrees(promoted, demo=(1,), demo_canary=(2,))


def test_a_canary_that_the_ledger_does_not_tell_of_breaks_the_audit(promoted: Workspace) -> None:
    config.set_canary(promoted.models_config, RECIPE, promoted.models / RECIPE, 1)
    broken = {link.name for link in audit(promoted, RECIPE) if link.state == "broken"}
    assert broken == {"ledger", "MLflow registry"}
    problem = history.disagreement(promoted, RECIPE, ledger.read(promoted.ledger(RECIPE)))
    assert "names v1 as canary of demo; the ledger tells of none" in str(problem)
    says = "names v1 as canary of demo; the ledger in this checkout tells of none"
    with pytest.raises(LineageError, match=says) as refused:
        recover(promoted)
    assert str(refused.value.hint).startswith("git merge segtrail/demo")
    assert served(promoted) == {"demo": (1,), "demo-canary": (1,)}


def test_a_canary_is_not_shown_again_from_an_older_ledger(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    older = promoted.ledger(RECIPE).read_bytes()
    abort_canary(promoted, RECIPE, reason="x")
    promoted.ledger(RECIPE).write_bytes(older)
    for attempt in (recover, lambda at: abort_canary(at, RECIPE, reason="y")):
        with pytest.raises(LineageError, match=r"names no version as canary .* tells of v2"):
            attempt(promoted)
    assert served(promoted) == {"demo": (1,)}
    assert promoted.ledger(RECIPE).read_bytes() == older


def test_a_lost_canary_is_named_and_holds_up_nothing_else(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    miniature.retrain(promoted, threshold=140)
    show_canary(promoted, RECIPE)
    (promoted.models / RECIPE / "3").rename(promoted.root / "made" / "gone")
    promoted.models_config.unlink()
    lost = (
        "demo: the store lacks v3 of demo, which ledger/demo.jsonl names as canary; to end it: "
        "segtrail promote --recipe demo --abort --reason TEXT"
    )
    assert recover(promoted)[-1] == lost
    assert served(promoted) == {"demo": (2,)}
    assert recover(promoted) == [lost]
    assert rollback(promoted, RECIPE, reason="an emergency").version == 1
    with pytest.raises(StageError, match="v3 is out as a canary"):
        promote(promoted, RECIPE)
    abort_canary(promoted, RECIPE, reason="the disk was full")
    assert registry.canary(promoted, RECIPE) is None
    assert recover(promoted) == []
    assert exit_code(audit(promoted, RECIPE)) == 0
    assert git.run(promoted.root, "status", "--porcelain") == ""


def test_a_lost_canary_that_is_brought_back_is_out_again(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    (promoted.models / RECIPE / "2").rename(promoted.root / "made" / "gone")
    promoted.models_config.unlink()
    recover(promoted)
    (promoted.root / "made" / "gone").rename(promoted.models / RECIPE / "2")
    assert recover(promoted) == ["demo: serving configuration names v2 as demo-canary"]
    agrees(promoted, demo=(1,), demo_canary=(2,))


@pytest.mark.parametrize(
    "lost",
    [
        ["canary"],
        ["models"],
        ["config"],
        ["nonsense"],
        ["mlflow"],
        ["models", "config", "mlflow"],
        ["models", "nonsense", "mlflow"],
    ],
)
def test_a_canary_can_be_ended_whatever_is_lost(promoted: Workspace, lost: list[str]) -> None:
    show_canary(promoted, RECIPE)
    gone = promoted.root / "made"
    for what in lost:
        if what == "canary":
            (promoted.models / RECIPE / "2").rename(gone / "canary")
        elif what == "models":
            promoted.models.rename(gone / "models")
        elif what == "config":
            promoted.models_config.unlink()
        elif what == "nonsense":
            promoted.models_config.write_text("nonsense {")
        else:
            (promoted.root / "mlflow.db").rename(gone / "mlflow.db")
    done = abort_canary(promoted, RECIPE, reason="it is lost", by="Ada")
    assert (done.version, done.changed) == (2, True)
    entries = ledger.read(promoted.ledger(RECIPE))
    assert (entries[-1].event, entries[-1].by) == (ledger.CANARY_ABORTED, "Ada")
    assert ledger.verify(promoted.ledger(RECIPE)) == []
    assert git.run(promoted.root, "status", "--porcelain") == ""
    if "nonsense" not in lost or lost == ["nonsense"]:
        assert "demo-canary" not in served(promoted)


def test_a_canary_is_not_ended_in_a_ledger_that_was_edited(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    miniature.flip(promoted.ledger(RECIPE), at=40)
    with pytest.raises(LineageError, match="line 1"):
        abort_canary(promoted, RECIPE, reason="x")
    assert served(promoted) == {"demo": (1,), "demo-canary": (2,)}


def test_no_recipe_is_called_like_a_canary(promoted: Workspace) -> None:
    text = promoted.params.read_text().replace("  demo:", "  demo-canary:")
    promoted.params.write_text(text)
    with pytest.raises(ConfigError, match="names that end in -canary"):
        load_params(promoted.params)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--abort"], "--abort needs --reason TEXT"),
        (["--reason", "x"], "--reason is of --abort"),
        (["--canary", "--confirm"], "exclude each other"),
        (["--abort", "--recover", "--reason", "x"], "exclude each other"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["promote", "--recipe", RECIPE, *arguments])
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_the_commands_tell_of_it(promoted: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(promoted.root)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "as demo-canary" in run("promote", "--recipe", RECIPE, "--canary", "--by", "Ada <a@b>")
    assert "v1, canary v2" in run("status")
    told = run("history", RECIPE)
    assert "v2 is out as a canary since " in told
    assert "by Ada\n  -> segtrail promote --recipe demo --confirm" in told
    assert "out as a canary beside v1" in run("history", RECIPE, "--events")
    run("promote", "--recipe", RECIPE, "--abort", "--reason", "misses mitotic cells")
    assert "is out as a canary" not in run("history", RECIPE)
    assert "because misses mitotic cells" in run("history", RECIPE, "--events")
