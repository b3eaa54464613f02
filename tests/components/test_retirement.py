"""A recipe that is taken out of service stays out, and whatever served can be audited."""

from __future__ import annotations

import agreement
import miniature
import pytest
from miniature import RECIPE
from typer.testing import CliRunner

from cli.main import app
from components import registry
from components.promote import (
    champion,
    promote,
    recover,
    retire,
    rollback,
    show_canary,
)
from components.promotion import candidate, retirement
from lineage import history, ledger
from lineage.audit import audit, exit_code
from segtrail import git
from segtrail.errors import RejectedError, StageError
from segtrail.workspace import Workspace
from serving import config

WHY = "the microscope was sold"


class Crash(BaseException):
    pass


def test_nothing_serves_and_everything_says_so(promoted: Workspace) -> None:
    done = retire(promoted, RECIPE, reason=WHY, by="Ada")
    assert (done.version, done.changed) == (1, True)
    assert champion(promoted, RECIPE) is None
    assert config.read(promoted.models_config) == {}
    assert registry.champion(promoted, RECIPE) is None
    assert (promoted.models / RECIPE / "1").is_dir()
    assert git.run(promoted.root, "status", "--porcelain") == ""
    entries = ledger.read(promoted.ledger(RECIPE))
    assert (entries[-1].event, entries[-1].version, entries[-1].by) == (ledger.RETIRED, 1, "Ada")
    (period,) = history.periods(entries)
    assert period.until == entries[-1].at
    assert history.disagreement(promoted, RECIPE, entries) is None
    assert recover(promoted, RECIPE) == []


def test_what_served_can_be_audited(promoted: Workspace) -> None:
    retire(promoted, RECIPE, reason=WHY, by="Ada")
    links = audit(promoted, RECIPE)
    assert (links.version, exit_code(links)) == (1, 0)
    says = {link.name: link.says for link in links}
    assert says["serving configuration"].endswith(f"by Ada because {WHY}")
    assert "ends with no version as champion" in says["ledger"]


def test_a_configuration_that_serves_it_all_the_same_is_broken(promoted: Workspace) -> None:
    before = promoted.models_config.read_bytes()
    retire(promoted, RECIPE, reason=WHY, by="Ada")
    promoted.models_config.write_bytes(before)
    links = {link.name: link for link in audit(promoted, RECIPE)}
    assert links["ledger"].state == "broken"
    assert links["ledger"].says == "ends with no version as champion; v1 serves"


def test_nothing_comes_back_but_by_a_persons_word(promoted: Workspace) -> None:
    retire(promoted, RECIPE, reason=WHY, by="Ada")
    with pytest.raises(
        RejectedError, match=r"v1 was taken out of service by Ada on .* because the"
    ):
        promote(promoted, RECIPE)
    with pytest.raises(StageError, match="nothing of demo serves"):
        retire(promoted, RECIPE, reason="again", by="Ada")
    with pytest.raises(StageError, match="nothing of demo serves"):
        rollback(promoted, RECIPE, reason="back", by="Ada")
    miniature.judge(promoted, candidate.digest_of(promoted, RECIPE))  # nothing to compare with
    assert promote(promoted, RECIPE, again="another microscope").version == 2
    assert agreement.problems(promoted, RECIPE) == []
    assert exit_code(audit(promoted, RECIPE)) == 0


def test_a_rollback_brings_a_version_back(promoted: Workspace) -> None:
    retire(promoted, RECIPE, reason=WHY, by="Ada")
    rollback(promoted, RECIPE, 1, reason="it was lent, not sold", by="Ada")
    assert champion(promoted, RECIPE) == 1
    assert ledger.retirement(ledger.read(promoted.ledger(RECIPE))) is None
    assert exit_code(audit(promoted, RECIPE)) == 0


def test_a_canary_is_ended_first(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    with pytest.raises(StageError, match="a retirement waits until it is ended"):
        retire(promoted, RECIPE, reason=WHY, by="Ada")


@pytest.mark.parametrize("where", ["withdraw", "set_champion", "commit"])
def test_a_crash_on_the_way_is_recovered(
    promoted: Workspace, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"withdraw": retirement, "set_champion": registry, "commit": retirement.record}[where]

    def crash(*args: object, **kwargs: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(module, where, crash)
        with pytest.raises(Crash):
            retire(promoted, RECIPE, reason=WHY, by="Ada")
    recover(promoted, RECIPE)
    assert champion(promoted, RECIPE) is None
    assert registry.champion(promoted, RECIPE) is None
    assert git.run(promoted.root, "status", "--porcelain") == ""
    assert recover(promoted, RECIPE) == []


def test_the_command(promoted: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(promoted.root)
    given = ["retire", RECIPE, "--by", "Ada", "--reason"]
    assert CliRunner().invoke(app, [*given, " "]).exit_code == 2
    result = CliRunner().invoke(app, [*given, WHY])
    assert result.exit_code == 0, result.output
    assert "serving configuration names no demo any more; it was v1" in result.output
    result = CliRunner().invoke(app, ["history", RECIPE, "--events"])
    assert f"taken out of service by Ada because {WHY}" in " ".join(result.output.split())
