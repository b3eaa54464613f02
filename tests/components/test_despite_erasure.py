"""A version that learned from images erased since serves by a person's word alone."""

from __future__ import annotations

import shutil

import agreement
import data_versions
import miniature
import pytest
import traced
from miniature import DATASET, RECIPE
from typer.testing import CliRunner

from cli.main import app
from components.certifying import people
from components.ingestion import erasure, erasure_plan, versioning
from components.ingestion.history import data_versions as versions
from components.ingestion.object_stores import open_stores
from components.promote import confirm_canary, promote, rollback, show_canary
from lineage import dvc_files, history, ledger
from lineage.audit import audit
from lineage.evidence import Evidence
from lineage.link import HELD
from segtrail import tombstones
from segtrail.errors import StageError
from segtrail.workspace import Workspace

LEARNED = r"learned from 1 image that was erased \(consent withdrawn\); nothing was changed"
WORD = {"images": 1, "erased": "consent withdrawn", "by": "Ada", "reason": "until v3 is there"}


def bury(workspace: Workspace, image: str) -> None:
    """Takes an image out of `data/` and of DVC's cache, with a tombstone, as an erasure does."""
    with open_stores(workspace) as stores:
        rows = erasure_plan.order(
            DATASET, [image], [], versions(workspace, stores.read), stores,
            delivery=9, reason="consent withdrawn", by="Grace",
        )  # fmt: skip
    data = traced.data_of(workspace)
    if (data.folder / "images" / f"{image}.png").exists():
        data.remove(image)
    data.write_tables()
    (data.folder / tombstones.TOMBSTONES).write_text(tombstones.to_csv(rows))
    versioning.record(workspace, "Erase")
    erasure.purge(workspace, DATASET)


def add_and_promote(workspace: Workspace, image: str = "three", split: str = "train") -> None:
    """Adds an image, and promotes v2, which was made with it, and v3, without; v3 serves."""
    data = traced.data_of(workspace)
    data.put(image, *data_versions.cells(30))
    data.edit(image, delivery="2", split=split)
    data.deliver("Bob", added=1)
    miniature.retrain(workspace, threshold=110)
    promote(workspace, RECIPE, by="Ada")
    data.remove(image)
    data.deliver("Bob", removed=1)
    miniature.retrain(workspace, threshold=130)
    promote(workspace, RECIPE, by="Ada")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_rollback_to_it_needs_a_word_which_is_told_everywhere(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    add_and_promote(promoted, split=split)
    bury(promoted, "three")
    before = promoted.ledger(RECIPE).read_bytes(), promoted.models_config.read_bytes()
    with pytest.raises(StageError, match=f"demo v2 {LEARNED}") as refused:
        rollback(promoted, RECIPE, 2, reason="v3 misses cells")
    assert "--to 2 --despite-erasure" in str(refused.value.hint)
    assert (promoted.ledger(RECIPE).read_bytes(), promoted.models_config.read_bytes()) == before
    monkeypatch.chdir(promoted.root)
    options = ["--by", "Ada", "--reason", "until v3 is there", "--despite-erasure"]
    done = CliRunner().invoke(app, ["rollback", RECIPE, "--to", "2", *options])
    assert done.exit_code == 0, done.output
    assert agreement.problems(promoted, RECIPE) == []
    entries = ledger.read(promoted.ledger(RECIPE))
    assert entries[-1].details["despite_erasure"] == WORD
    told = (
        "although it learned from 1 image that was erased (consent withdrawn), by Ada because "
        "until v3 is there"
    )
    assert told in history.periods(entries)[-1].why()
    link = next(x for x in audit(promoted, RECIPE, quick=True) if x.name == "ledger")
    assert link.state == HELD
    assert f"v2 may serve {told} (line {len(entries)})" in link.says
    assert told in people.lines(Evidence(promoted, RECIPE, 2))[-1].reason
    assert rollback(promoted, RECIPE, 3, reason="it is there").changed  # that learned from none


def test_what_a_version_was_only_judged_by_needs_no_word(promoted: Workspace) -> None:
    add_and_promote(promoted, split="test")
    bury(promoted, "three")
    with pytest.raises(StageError, match="v2 learned from no image that was erased"):
        rollback(promoted, RECIPE, 2, reason="why not", despite_erasure=True)
    assert rollback(promoted, RECIPE, 2, reason="a drill").version == 2
    assert "despite_erasure" not in ledger.read(promoted.ledger(RECIPE))[-1].details


def test_what_cannot_be_told_is_warned_of(promoted: Workspace, capsys) -> None:
    add_and_promote(promoted)
    bury(promoted, "three")
    cache = dvc_files.cache_folder(promoted.root)
    shutil.rmtree(cache)
    assert rollback(promoted, RECIPE, 2, reason="a drill").version == 2
    said = capsys.readouterr().out
    assert "warning: whether demo v2 learned from images erased since is not known: " in said
    assert "not in DVC's cache" in said


def test_a_canary_is_not_confirmed_without_a_word(promoted: Workspace) -> None:
    show_canary(promoted, RECIPE)
    bury(promoted, "one")
    with pytest.raises(StageError, match=f"demo v2 {LEARNED}") as refused:
        confirm_canary(promoted, RECIPE)
    assert "--confirm --despite-erasure --reason TEXT" in str(refused.value.hint)
    confirm_canary(promoted, RECIPE, by="Ada", despite_erasure="until v3 is there")
    assert ledger.read(promoted.ledger(RECIPE))[-1].details["despite_erasure"] == WORD
    assert agreement.problems(promoted, RECIPE) == []


def test_a_candidate_comes_back_by_a_rollback_alone(promoted: Workspace) -> None:
    promote(promoted, RECIPE)
    rollback(promoted, RECIPE, 1, reason="v2 misses cells")
    bury(promoted, "one")
    for attempt in (promote, show_canary):
        with pytest.raises(StageError, match=f"demo v2 {LEARNED}") as refused:
            attempt(promoted, RECIPE, again="it was the images")
        assert "rollback demo --to 2 --despite-erasure" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--confirm", "--despite-erasure"], "--despite-erasure needs --reason TEXT"),
        (["--despite-erasure", "--reason", "x"], "--despite-erasure is of --confirm"),
        (["--confirm", "--reason", "x"], "--reason is of --abort, --again and --despite-erasure"),
    ],
)
def test_the_command_asks_why(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["promote", "--recipe", RECIPE, *arguments])
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())
