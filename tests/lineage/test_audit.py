"""The audit finds what was tampered with, and blames nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import miniature
import pytest
from miniature import RECIPE

from components.promote import promote, recover, show_canary
from lineage import ledger, provenance
from lineage.audit import Link, audit, exit_code
from segtrail.errors import LineageError
from segtrail.files import sha256_file
from segtrail.workspace import Workspace
from serving import config
from serving.launch import running_server


@pytest.fixture
def promoted(promoted_template: Workspace, tmp_path: Path) -> Workspace:
    """Audits need no server on PATH."""
    return miniature.copy(promoted_template, tmp_path / "workspace")


def states(links: list[Link]) -> dict[str, str]:
    return {link.name: link.state for link in links}


def broken(links: list[Link]) -> set[str]:
    return {link.name for link in links if link.state == "broken"}


def says(links: list[Link], name: str) -> str:
    (found,) = [link.says for link in links if link.name == name]
    return found


def everything(root: Path) -> dict[str, str]:
    skip = {"tmp", "index"}  # caches that DVC and git keep for themselves
    return {
        str(path): sha256_file(path)
        for path in root.rglob("*")
        if path.is_file() and not skip & set(path.parts) and "mlflow.db-" not in path.name
    }


def test_everything_holds_after_a_promotion(promoted: Workspace) -> None:
    # The candidate that was trained since is in the working tree, and only warned about.
    links = audit(promoted, RECIPE)
    found = states(links)
    assert found.pop("working tree") == "warning"
    assert found.pop("signature") == "warning"  # nobody signed
    assert set(found.values()) == {"held"}
    assert len(found) == 22
    assert "dvc.lock" in says(links, "working tree")
    assert exit_code(links) == 0


def test_an_audit_changes_nothing(promoted: Workspace) -> None:
    before = everything(promoted.root)
    audit(promoted, RECIPE)
    assert everything(promoted.root) == before


def test_an_old_version_holds_as_well(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    promote(promoted, RECIPE)
    for version in (1, 2):
        links = audit(promoted, RECIPE, version=version)
        assert broken(links) == set()
    assert says(audit(promoted, RECIPE, version=1), "serving configuration") == (
        "v2 serves; v1 is kept in the store"
    )


def test_a_quick_audit_is_not_a_whole_one(promoted: Workspace) -> None:
    links = audit(promoted, RECIPE, quick=True)
    assert states(links)["data bytes"] == "not checked"
    assert exit_code(links) == 6


def test_what_rests_on_a_broken_provenance_is_not_called_held(promoted: Workspace) -> None:
    miniature.flip(promoted.models / RECIPE / "1" / provenance.IN_MODEL)
    found = states(audit(promoted, RECIPE))
    resting = ("training run", "git commit", "recipe", "data bytes", "evaluation", "verdict")
    assert {found[name] for name in resting} == {"not checked"}
    assert found["model store"] == "held"  # by the digest in the ledger


@pytest.mark.parametrize("lost", ["mlflow.db", ".dvc", "ledger", "serving", "params.yaml"])
def test_whatever_is_lost_every_link_is_shown(promoted: Workspace, lost: str) -> None:
    path = promoted.root / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    links = audit(promoted, RECIPE)
    assert len({link.name for link in links}) == len(links) == 24
    # What lies in git alone does not need the working tree.
    expected = {"params.yaml": 0, "mlflow.db": 6, "serving": 6}  # as in a clone
    assert exit_code(links) == expected.get(lost, 5)
    assert path.exists() is False


def test_uncommitted_code_breaks_the_commit(workspace: Workspace) -> None:
    (workspace.root / "extra.py").write_text("x = 1\n")
    promote(workspace, RECIPE, allow_dirty=True)
    links = audit(workspace, RECIPE)
    assert broken(links) == {"git commit"}
    assert "extra.py was not committed" in says(links, "git commit")


def test_a_promotion_that_was_not_finished_is_seen(promoted: Workspace) -> None:
    path = promoted.ledger(RECIPE)
    ledger.append(path, ledger.INTENT, version=2, model_digest="b" * 64)
    links = audit(promoted, RECIPE)
    assert broken(links) == {"ledger"}
    hint = "v2 was never finished: segtrail promote --recipe demo --recover"
    assert hint in says(links, "ledger")


def test_a_copied_workspace_is_told_how_to_serve_from_its_own_store(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    show_canary(promoted, RECIPE)
    before = {name: model.versions for name, model in config.read(promoted.models_config).items()}
    other = promoted.root.parent / "copied" / RECIPE
    config.set_champion(promoted.models_config, RECIPE, other, 1)
    config.set_canary(promoted.models_config, RECIPE, other, 2)
    links = audit(promoted, RECIPE)
    assert broken(links) == {"serving configuration"}
    hint = f"base_path is {other}; the workspace says {promoted.models / RECIPE}: it was copied "
    hint += "or moved (segtrail promote --recipe demo --recover), or somebody changed it"
    assert hint in says(links, "serving configuration")
    recover(promoted, RECIPE)
    served = config.read(promoted.models_config)
    assert {model.base_path for model in served.values()} == {promoted.models / RECIPE}
    assert {name: model.versions for name, model in served.items()} == before
    assert exit_code(audit(promoted, RECIPE)) == 0
    assert recover(promoted, RECIPE) == []


def test_a_store_that_lacks_the_model_is_not_served_from(promoted: Workspace) -> None:
    config.set_champion(promoted.models_config, RECIPE, promoted.root / "copied" / RECIPE, 1)
    before = promoted.models_config.read_text()
    miniature.flip(promoted.models / RECIPE / "1/variables/threshold", at=0)
    with pytest.raises(LineageError, match="is not the model"):
        recover(promoted, RECIPE)
    assert promoted.models_config.read_text() == before


def test_nothing_promoted_yet(template: Workspace) -> None:
    links = audit(template, RECIPE)
    assert {link.state for link in links} == {"not checked"}
    assert exit_code(links) == 6
    told = "no version of demo was ever promoted: segtrail retrain --recipe demo"
    assert says(links, "serving configuration") == told
    assert len(links) == 24
    assert {link.says for link in audit(template, RECIPE, version=7)} == {told}


def test_a_promoted_model_that_no_configuration_names_is_broken(promoted: Workspace) -> None:
    promoted.models_config.write_text("")
    links = audit(promoted, RECIPE)
    assert broken(links) == {"serving configuration"}
    assert "names no version of demo" in says(links, "serving configuration")


def test_a_live_server_is_asked(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    log = tmp_path / "server.log"
    with running_server(RECIPE, log=log, config=promoted.models_config) as server:
        links = audit(promoted, RECIPE, target=server.target)
    assert broken(links) == set()
    assert "2 golden images answered as evaluated" in says(links, "live server")
    assert len(links) == 25


def test_a_live_server_with_another_model_under_the_same_version_is_caught(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    other = tmp_path / "models" / RECIPE
    miniature.write_model(other / "1", threshold=7)
    config.set_champion(tmp_path / "models.config", RECIPE, other, 1)
    log = tmp_path / "server.log"
    with running_server(RECIPE, log=log, config=tmp_path / "models.config") as server:
        links = audit(promoted, RECIPE, target=server.target)
    assert broken(links) == {"live server"}
    assert "of the mask's pixels differ" in says(links, "live server")


def test_a_server_that_does_not_answer_breaks_one_link(promoted: Workspace) -> None:
    links = audit(promoted, RECIPE, target="127.0.0.1:1")
    assert broken(links) == {"live server"}
    assert states(links)["model store"] == "held"


def test_exit_codes() -> None:
    held, warning = Link("a", "held", ""), Link("b", "warning", "")
    missing, wrong = Link("c", "not checked", ""), Link("d", "broken", "")
    assert exit_code([held, warning]) == 0
    assert exit_code([held, missing]) == 6
    assert exit_code([wrong, missing, held]) == 5
