"""A model that a person turned away stays away until a person lets it come back."""

from __future__ import annotations

import agreement
import pytest
from miniature import RECIPE
from typer.testing import CliRunner

from cli.main import app
from components.promote import abort_canary, confirm_canary, promote, rollback, show_canary
from components.promotion import candidate
from flows import outcome
from lineage import history, ledger, ledger_events, turned_away
from lineage.audit import audit, exit_code
from segtrail import git
from segtrail.errors import RejectedError, StageError
from segtrail.workspace import Workspace


def state(workspace: Workspace) -> tuple[bytes, bytes, str]:
    files = workspace.ledger(RECIPE).read_bytes(), workspace.models_config.read_bytes()
    return (*files, git.head(workspace.root))


def test_a_rolled_back_model_comes_back_by_a_persons_word_alone(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    rollback(promoted, RECIPE, reason="v2 misses cells", by="Ada")
    before = state(promoted)
    says = r"v2 was rolled back by Ada on \d{4}-\d\d-\d\d because v2 misses cells \(entry 6 of"
    for attempt in (promote, show_canary):
        with pytest.raises(RejectedError, match=says) as refused:
            attempt(promoted, RECIPE)
        assert "--again --reason TEXT" in str(refused.value.hint)
    assert state(promoted) == before
    assert "v2 was rolled back by Ada" in str(outcome.turned_down(promoted, RECIPE))
    assert promote(promoted, RECIPE, again="it was the images", by="Grace").version == 2
    assert agreement.problems(promoted, RECIPE) == []
    entries = ledger.read(promoted.ledger(RECIPE))
    assert entries[-1].details["again"] == {
        "by": "Grace", "reason": "it was the images", "entry": 6,
    }  # fmt: skip
    assert history.periods(entries)[-1].why() == (
        "promoted by the gate; again, against entry 6, by Grace because it was the images"
    )
    assert exit_code(audit(promoted, RECIPE)) == 0
    assert outcome.turned_down(promoted, RECIPE) is None
    rollback(promoted, RECIPE, reason="it was not", by="Ada")  # a word holds once
    with pytest.raises(RejectedError, match="because it was not"):
        promote(promoted, RECIPE)


def test_an_aborted_canary_comes_back_by_a_persons_word_alone(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    abort_canary(promoted, RECIPE, reason="misses mitotic cells", by="Grace")
    says = r"v2 was aborted as a canary by Grace on .* because misses mitotic cells \(entry 5 of"
    for attempt in (promote, show_canary):
        with pytest.raises(RejectedError, match=says):
            attempt(promoted, RECIPE)
    out = show_canary(promoted, RECIPE, again="on other slides", by="Ada")
    assert (out.version, out.changed) == (2, True)
    told = [e.says for e in ledger_events.events(ledger.read(promoted.ledger(RECIPE)))]
    assert told[-1] == "out as a canary beside v1; again by Ada because on other slides"
    confirm_canary(promoted, RECIPE)
    assert agreement.problems(promoted, RECIPE) == []
    (_, last) = history.periods(ledger.read(promoted.ledger(RECIPE)))
    assert last.again == {"by": "Ada", "reason": "on other slides", "entry": 5}
    assert exit_code(audit(promoted, RECIPE)) == 0


def test_a_rollback_to_a_version_is_a_persons_word_for_it(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    digest = candidate.digest_of(promoted, RECIPE)
    rollback(promoted, RECIPE, reason="v2 misses cells")
    rollback(promoted, RECIPE, 2, reason="it was the images", by="Ada")
    entries = ledger.read(promoted.ledger(RECIPE))
    assert turned_away.find(entries, digest) is None
    word = turned_away.find(entries, entries[0].model_digest)
    assert word is not None
    assert (word.version, word.by, word.reason) == (1, "Ada", "it was the images")


def test_what_nobody_turned_away_needs_no_word(promoted: Workspace) -> None:
    before = state(promoted)
    with pytest.raises(StageError, match=r"nobody turned the model .* away"):
        promote(promoted, RECIPE, again="why not")
    assert state(promoted) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--again"], "--again needs --reason TEXT"),
        (["--again", "--reason", " "], "--again needs --reason TEXT"),
        (["--again", "--confirm", "--reason", "x"], "--again and --confirm exclude each other"),
        (["--canary", "--reason", "x"], "--reason is of --abort, --again and --despite-erasure"),
    ],
)
def test_the_command_asks_why(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["promote", "--recipe", RECIPE, *arguments])
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())


def test_the_command(promoted: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(promoted, RECIPE)
    rollback(promoted, RECIPE, reason="a drill")
    monkeypatch.chdir(promoted.root)
    again = ["promote", "--recipe", RECIPE, "--again", "--by", "Ada", "--reason", "it is over"]
    result = CliRunner().invoke(app, again)
    assert result.exit_code == 0, result.output
    assert ledger.read(promoted.ledger(RECIPE))[-1].details["again"]["reason"] == "it is over"
