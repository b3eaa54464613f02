"""The audit finds what was tampered with, and blames nothing else."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import miniature
import pytest
from miniature import RECIPE

from components.promote import promote, recover, show_canary
from lineage import data_version, dvc_files, ledger, mlflow_record, provenance
from lineage.audit import Link, audit, exit_code
from segtrail import git
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
    assert len(found) == 18
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


def stored(workspace: Workspace, name: str) -> Path:
    return workspace.models / RECIPE / "1" / name


def cached(workspace: Workspace, path: str) -> Path:
    """Returns the cache object of an output of v1's pipeline, or of a file of its data."""
    record = ledger.read(workspace.ledger(RECIPE))[-1]
    commit = record.details["git_commit"]
    cache = dvc_files.cache_folder(workspace.root)
    if path.startswith("data/"):
        files = data_version.tree(workspace.root, commit, miniature.DATASET)
        return dvc_files.object_path(cache, files[path.removeprefix("data/tiny/")])
    lock = dvc_files.lock_at(workspace.root, commit, RECIPE)
    folder, md5 = lock.find_output(path) or ("", "")
    listing = dvc_files.read_listing(cache, md5)
    return dvc_files.object_path(cache, listing[path[len(folder) + 1 :]])


def add_file(workspace: Workspace) -> None:
    stored(workspace, "variables/extra").write_text("added")


def edit_golden(workspace: Workspace) -> None:
    miniature.flip(stored(workspace, "assets.extra/segtrail/golden/one.mask.png"))


def edit_ledger(workspace: Workspace) -> None:
    path = workspace.ledger(RECIPE)
    miniature.flip(path, at=path.read_bytes().index(b'"at": "2') + 8)


def edit_last_line_of_ledger(workspace: Workspace) -> None:
    path = workspace.ledger(RECIPE)
    miniature.flip(path, at=path.read_bytes().rindex(b'"at": "2') + 8)


def cut_ledger(workspace: Workspace) -> None:
    path = workspace.ledger(RECIPE)
    path.write_bytes(path.read_bytes()[:-30])


def move_tag(workspace: Workspace) -> None:
    git.run(workspace.root, "tag", "--force", "--annotate", "demo/v1", "HEAD~2", "-m", "moved")


def remove_tag(workspace: Workspace) -> None:
    git.run(workspace.root, "tag", "--delete", "demo/v1")


def change_mlflow(statement: str) -> Callable[[Workspace], None]:
    def tamper(workspace: Workspace) -> None:
        with sqlite3.connect(workspace.root / "mlflow.db") as db:
            assert db.execute(statement).rowcount > 0

    return tamper


def forget_alias(workspace: Workspace) -> None:
    client = mlflow_record.client(workspace)
    client.delete_registered_model_alias(RECIPE, mlflow_record.CHAMPION)


def serve_from_elsewhere(workspace: Workspace) -> None:
    config.set_champion(workspace.models_config, RECIPE, workspace.root / "elsewhere", 1)


def flip_stored(name: str) -> Callable[[Workspace], None]:
    return lambda workspace: miniature.flip(stored(workspace, name))


def flip_cached(path: str) -> Callable[[Workspace], None]:
    return lambda workspace: miniature.flip(cached(workspace, path))


def lose_cached(path: str) -> Callable[[Workspace], None]:
    return lambda workspace: cached(workspace, path).unlink()


TAMPERED: list[tuple[Callable[[Workspace], None], set[str], str]] = [
    (flip_stored("variables/threshold"), {"model store"}, r"variables/threshold was changed"),
    (add_file, {"model store"}, r"variables/extra was added"),
    (lambda w: stored(w, "saved_model.pb").unlink(), {"model store"}, "saved_model.pb is missing"),
    (flip_stored(provenance.IN_MODEL), {"provenance"}, "the ledger names"),
    (lambda w: stored(w, provenance.IN_MODEL).unlink(), {"provenance"}, "not there"),
    (edit_golden, {"provenance"}, r"golden/one\.mask\.png"),
    (flip_cached("data/tiny/images/one.png"), {"data bytes"}, r"images/one\.png: .* md5 is"),
    (lose_cached("data/tiny/images/two.png"), {"data bytes"}, r"not in DVC's cache"),
    (
        flip_cached("data/tiny/deliveries.csv"),
        {"data bytes", "deliveries and splits"},
        r"deliveries\.csv: ",
    ),
    (flip_cached("artifacts/demo/validation/result.json"), {"validation"}, "md5 is"),
    (flip_cached("artifacts/demo/evaluation/metrics.json"), {"evaluation"}, "md5 is"),
    (lose_cached("artifacts/demo/evaluation/per_image.parquet"), {"evaluation"}, "not in DVC's"),
    (edit_ledger, {"ledger"}, r"line 2: names"),
    (edit_last_line_of_ledger, {"ledger"}, r"line 2: is not what git holds"),
    (cut_ledger, {"ledger"}, r"line 2: has no newline"),
    (lambda w: w.ledger(RECIPE).unlink(), {"ledger"}, "not there"),
    (move_tag, {"git tag"}, r"ledger/demo\.jsonl|does not name v1|does not exist"),
    (remove_tag, {"git tag"}, r"no tag demo/v1"),
    (
        change_mlflow("UPDATE model_version_tags SET value = 'x'"),
        {"MLflow registry"},
        "digest tag is x",
    ),
    (forget_alias, {"MLflow registry"}, "alias champion names is None"),
    (change_mlflow("UPDATE runs SET status = 'FAILED'"), {"training run"}, "FAILED"),
    (serve_from_elsewhere, {"serving configuration"}, "base_path"),
]


@pytest.mark.parametrize(("tamper", "links", "why"), TAMPERED)
def test_the_right_link_is_broken(
    promoted: Workspace, tamper: Callable[[Workspace], None], links: set[str], why: str
) -> None:
    tamper(promoted)
    found = audit(promoted, RECIPE)
    assert broken(found) == links
    assert re.search(why, " ".join(link.says for link in found if link.state == "broken"))
    assert len(found) == 20
    assert exit_code(found) == 5


def test_what_rests_on_a_broken_provenance_is_not_called_held(promoted: Workspace) -> None:
    miniature.flip(stored(promoted, provenance.IN_MODEL))
    found = states(audit(promoted, RECIPE))
    resting = ("training run", "git commit", "recipe", "data bytes", "evaluation", "verdict")
    assert {found[name] for name in resting} == {"not checked"}
    assert found["model store"] == "held"  # by the digest in the ledger


@pytest.mark.parametrize("lost", ["mlflow.db", ".dvc", "ledger", "serving", "params.yaml"])
def test_whatever_is_lost_every_link_is_shown(promoted: Workspace, lost: str) -> None:
    path = promoted.root / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    links = audit(promoted, RECIPE)
    assert len({link.name for link in links}) == len(links) == 20
    # What lies in git alone does not need the working tree.
    assert exit_code(links) == (0 if lost == "params.yaml" else 5)
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
    hint = f"base_path is {other}; the workspace says {promoted.models / RECIPE}: segtrail promote"
    assert f"{hint} --recipe demo --recover" in says(links, "serving configuration")
    recover(promoted, RECIPE)
    served = config.read(promoted.models_config)
    assert {model.base_path for model in served.values()} == {promoted.models / RECIPE}
    assert {name: model.versions for name, model in served.items()} == before
    assert exit_code(audit(promoted, RECIPE)) == 0
    assert recover(promoted, RECIPE) == []


def test_a_store_that_lacks_the_model_is_not_served_from(promoted: Workspace) -> None:
    config.set_champion(promoted.models_config, RECIPE, promoted.root / "copied" / RECIPE, 1)
    before = promoted.models_config.read_text()
    miniature.flip(stored(promoted, "variables/threshold"), at=0)
    with pytest.raises(LineageError, match="is not the model"):
        recover(promoted, RECIPE)
    assert promoted.models_config.read_text() == before


def test_nothing_promoted_yet(template: Workspace) -> None:
    links = audit(template, RECIPE)
    assert {link.state for link in links} == {"not checked"}
    assert exit_code(links) == 6
    assert "nothing of demo was promoted yet" in says(links, "serving configuration")
    assert len(links) == 20
    assert broken(audit(template, RECIPE, version=1)) >= {"model store", "ledger"}


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
    assert len(links) == 21


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
