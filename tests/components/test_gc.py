"""Housekeeping: what nothing refers to goes, and everything that somebody may ask for stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import agreement
import miniature
import pytest
from miniature import DATASET, RECIPE
from typer.testing import CliRunner

from cli.main import app
from components import gc
from components.collecting import cache as of_cache
from components.promote import approve, promote, reject, rollback
from flows import clone
from lineage import dvc_files, ledger_check, trace
from lineage.audit import audit, exit_code
from segtrail import git, git_objects
from segtrail.artifacts import Model
from segtrail.errors import ConfigError, LineageError, StageError, WorkspaceError
from segtrail.files import atomic_folder, atomic_path, tree_digests, write_text
from segtrail.lock import alone
from segtrail.saved_model import digest
from segtrail.workspace import DATA_CLONE, Workspace

ROOT = Path(__file__).resolve().parents[2]
LONG_AGO = 1_700_000_000


@pytest.fixture(scope="module")
def months(promoted_template: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """v1 to v3 were promoted, one between them rejected, one approved; a candidate waits."""
    root = tmp_path_factory.mktemp("months")
    workspace = miniature.copy(promoted_template, root / "template")
    with pytest.MonkeyPatch.context() as monkeypatch:
        miniature.put_server_on_path(root / "bin", monkeypatch)
        promote(workspace, RECIPE)
        said = miniature.verdict(miniature.retrain(workspace, threshold=130), "fail")
        reject(workspace, RECIPE, said)
        miniature.retrain(workspace, threshold=135)  # never judged by anybody
        verdict = miniature.judge(workspace, miniature.retrain(workspace, threshold=140))
        approve(workspace, RECIPE, verdict, by="Grace", reason="looked at all of them")
        miniature.retrain(workspace, threshold=150)
        assert promote(workspace, RECIPE).version == 3
        miniature.retrain(workspace, threshold=160)
    return workspace


@pytest.fixture
def workspace(months: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    return miniature.copy(months, tmp_path / "workspace")


def collected(workspace: Workspace) -> gc.Plan:
    return gc.remove(workspace, gc.plan(workspace))


def kinds(plan: gc.Plan) -> set[str]:
    return {found.kind for found in plan.found}


def known(workspace: Workspace) -> list[object]:
    """What is said of the workspace by those who ask DVC's cache."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status"], cwd=workspace.root, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    (workspace.scratch / "trace.db").unlink(missing_ok=True)
    audits = [audit(workspace, RECIPE, version=version) for version in (1, 2, 3)]
    assert [exit_code(each) for each in audits] == [0, 0, 0]
    return [
        done.stdout, [list(each) for each in audits], ledger_check.check(workspace, RECIPE).entries,
        trace.to_json(trace.image(workspace, "one", DATASET).found),
    ]  # fmt: skip


def subject(workspace: Workspace, threshold: int) -> str:
    """Returns the commit in which a model was made."""
    grep = f"--grep=^Train with threshold {threshold}$"
    return git.run(workspace.root, "log", "-1", "--format=%H", grep)


def candidates(workspace: Workspace) -> dict[int, bool]:
    """Returns whether each model that was ever made is whole in DVC's cache, by its threshold."""
    cache, found = dvc_files.cache_folder(workspace.root), {}
    for commit in git.run(workspace.root, "log", "--format=%H", "--", "dvc.lock").split():
        subject = git.run(workspace.root, "log", "-1", "--format=%s", commit)
        md5 = dvc_files.lock_at(workspace.root, commit, RECIPE).output(
            "train", "artifacts/demo/model"
        )
        try:
            listing = dvc_files.read_listing(cache, str(md5))
            whole = all(dvc_files.object_path(cache, each).exists() for each in listing.values())
        except LineageError:
            whole = False
        found[int(subject.split()[-1])] = whole
    return found


def contents(root: Path) -> dict[str, str]:
    return tree_digests(root, skip=lambda name: name.startswith(".dvc/tmp"))  # DVC's own notes


def test_what_nothing_refers_to_goes_and_all_else_is_as_before(workspace: Workspace) -> None:
    cache = dvc_files.cache_folder(workspace.root)
    foreign = dvc_files.object_path(cache, "0" * 32)
    write_text(foreign, "of a clone that nobody here knows of")
    before, files = known(workspace), contents(cache)
    assert set(candidates(workspace).values()) == {True}

    gone = collected(workspace)

    assert kinds(gone) == {of_cache.OUTPUTS, of_cache.RUNS}
    assert len(files) - len(contents(cache)) == len(gone.found[0].sizes) > 0
    assert gone.bytes > 0
    served, stands, approved = {100, 120, 150}, {160}, {140}
    rest = dict.fromkeys((130, 135), False) | dict.fromkeys(served | stands | approved, True)
    assert candidates(workspace) == rest
    assert foreign.exists()
    assert known(workspace) == before
    assert gc.plan(workspace) == gc.Plan([], [])

    for version in (1, 2, 3):
        assert rollback(workspace, RECIPE, version, reason="to see").version == version
    miniature.judge(workspace, digest(Model.of(workspace, RECIPE).root))
    assert promote(workspace, RECIPE).version == 4
    assert agreement.problems(workspace, RECIPE) == []
    miniature.retrain(workspace, threshold=130)
    assert candidates(workspace)[130], "it can be made anew"


def test_every_version_of_the_data_stays(workspace: Workspace) -> None:
    cache, old = dvc_files.cache_folder(workspace.root), workspace.dataset(DATASET) / "images"
    md5 = dvc_files.file_md5(old / "two.png")
    (old / "two.png").unlink()
    miniature.dvc(workspace.root, "add", "--quiet", "data")
    git.commit(workspace.root, ["data.dvc"], "Ingest tiny: 1 removed")
    miniature.retrain(workspace, threshold=170)
    collected(workspace)
    assert dvc_files.object_path(cache, md5).exists()
    assert exit_code(audit(workspace, RECIPE, version=1)) == 0


def test_a_dry_run_changes_nothing_and_a_script_has_to_say_yes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    before = contents(workspace.root)
    shown = CliRunner().invoke(app, ["gc", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "stage outputs" in shown.output
    assert isinstance(CliRunner().invoke(app, ["gc"]).exception, ConfigError)
    assert contents(workspace.root) == before
    done = CliRunner().invoke(app, ["gc", "--yes"])
    assert shown.output in done.output
    assert "freed" in done.output
    assert "nothing to remove" in CliRunner().invoke(app, ["gc", "--yes"]).output


def test_only_what_was_shown_goes(workspace: Workspace) -> None:
    shown = gc.plan(workspace)
    git.run(workspace.root, "branch", "rejected", subject(workspace, 130))
    gone = gc.remove(workspace, shown)
    assert gone.bytes < shown.bytes
    assert candidates(workspace)[130]
    assert not candidates(workspace)[135]


@pytest.mark.parametrize("after", [1, 5, 12])
def test_killed_in_its_midst_it_leaves_what_the_next_one_finds(
    workspace: Workspace, after: int
) -> None:
    before = known(workspace)
    count = sum(len(found.sizes) for found in gc.plan(workspace).found)
    assert after < count
    script = f"""if True:
        import os, signal
        from pathlib import Path
        from components import gc
        from segtrail.workspace import Workspace
        left, unlink = [{after}], Path.unlink
        def killed(path, missing_ok=False):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            unlink(path, missing_ok)
        workspace = Workspace.at(Path({str(workspace.root)!r}))
        shown = gc.plan(workspace)
        Path.unlink = killed
        gc.remove(workspace, shown)
    """
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert known(workspace) == before
    assert sum(len(found.sizes) for found in collected(workspace).found) == count - after
    assert known(workspace) == before
    assert gc.plan(workspace).found == []


def test_a_run_under_way_is_left_alone(workspace: Workspace) -> None:
    worker = Workspace(clone.prepare(workspace, RECIPE), workspace.home)
    shown = gc.plan(workspace)
    before = contents(workspace.root)
    for lock in (
        workspace.scratch / "flow.lock", worker.scratch / "flow.lock", workspace.promotion_lock,
    ):  # fmt: skip
        with alone(lock, "busy"):
            for ask in (lambda: gc.plan(workspace), lambda: gc.remove(workspace, shown)):
                with pytest.raises(StageError, match="under way"):
                    ask()
    locks = {"flow.lock", "promotion.lock"}
    after = {n: d for n, d in contents(workspace.root).items() if Path(n).name not in locks}
    assert after == {n: d for n, d in before.items() if Path(n).name not in locks}
    with pytest.raises(WorkspaceError, match="works for the workspace"):
        gc.plan(worker)


@pytest.mark.parametrize(
    "stands", ["working tree", "index", "branch", "stash", "linked tree", "its dvc.lock"]
)
def test_what_a_worker_or_a_person_still_has_stays(
    workspace: Workspace, stands: str, tmp_path: Path
) -> None:
    root = clone.prepare(workspace, RECIPE)
    old = git_objects.show(root, subject(workspace, 130), "dvc.lock").decode()
    if stands == "linked tree":
        tree = str(tmp_path / "tree")
        git.run(root, "worktree", "add", "--quiet", "--detach", tree, subject(workspace, 130))
    elif stands == "its dvc.lock":
        git.run(root, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
        write_text(tmp_path / "tree" / "dvc.lock", old)
    else:
        write_text(root / "dvc.lock", old)
    if stands == "branch":
        git.commit(root, ["dvc.lock"], "Back to it")
    elif stands == "stash":
        git.run(root, "-c", "user.name=A", "-c", "user.email=a@b", "stash")
    elif stands == "index":
        git.run(root, "add", "dvc.lock")
        write_text(root / "dvc.lock", (workspace.root / "dvc.lock").read_text())
    collected(workspace)
    assert candidates(workspace)[130]
    assert not candidates(workspace)[135]


def test_the_clone_of_a_recipe_that_is_gone_goes_once_its_work_is_handed_back(
    workspace: Workspace,
) -> None:
    kept, root = clone.prepare(workspace, RECIPE), clone.prepare(workspace, "old")
    data = clone.prepare(workspace, DATA_CLONE)
    collected(workspace)
    clone.prepare(workspace, "old")
    write_text(root / "notes.txt", "mine")
    assert "worker clones" not in kinds(gc.plan(workspace))
    git.commit(root, ["notes.txt"], "Mine")
    assert "worker clones" not in kinds(gc.plan(workspace))
    clone.hand_back(root, "old")
    assert kinds(collected(workspace)) == {"worker clones"}
    assert not root.exists()
    assert kept.exists()
    assert data.exists()
    assert gc.plan(workspace).found == []
    assert (clone.prepare(workspace, "old") / "notes.txt").read_text() == "mine"


def test_what_a_killed_command_left_goes_and_what_a_live_one_writes_stays(
    workspace: Workspace,
) -> None:
    artifacts = workspace.artifacts(RECIPE)
    script = f"""if True:
        import os, signal
        from pathlib import Path
        from segtrail.files import atomic_folder, atomic_path
        folder = Path({str(artifacts)!r})
        with atomic_folder(folder / "model") as a, atomic_path(folder / "killed.json") as b:
            for path in (a / "half", b):
                path.write_text("half of it")
            for path in (a / "half", a, b):
                os.utime(path, ({LONG_AGO}, {LONG_AGO}))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    of_dvc = dvc_files.cache_folder(workspace.root) / "ab" / ".0123456789abcdefghijkl.tmp"
    write_text(of_dvc, "half of it")
    os.utime(of_dvc, (LONG_AGO, LONG_AGO))
    fresh = artifacts / ".model.abcdefgh.tmp"
    write_text(fresh, "half of it")
    left = set(artifacts.glob(".*.tmp")) - {fresh} | {of_dvc}
    assert len(left) == 3
    with atomic_folder(artifacts / "live") as folder, atomic_path(artifacts / "live.json") as path:
        write_text(folder / "half", "half of it")
        for each in (folder / "half", folder, path):
            os.utime(each, (LONG_AGO, LONG_AGO))
        (found,) = [each for each in collected(workspace).found if each.kind == "temporary files"]
        assert found.sizes.keys() == left
        assert (folder / "half").exists()
        assert path.exists()
    assert not any(each.exists() for each in left)
    assert fresh.exists()


def test_a_cache_that_others_may_share_is_left(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / ".dvc" / "cache").rename(tmp_path / "shared")
    write_text(workspace.root / ".dvc/config.local", f"[cache]\n    dir = {tmp_path / 'shared'}\n")
    before = contents(tmp_path / "shared")
    gone = collected(workspace)
    assert gone.found == []
    assert "outside of the workspace" in gone.left[0]
    assert contents(tmp_path / "shared") == before


def test_where_a_listing_is_lost_nobody_can_tell_so_the_cache_stays(workspace: Workspace) -> None:
    cache = dvc_files.cache_folder(workspace.root)
    lock = dvc_files.lock_at(workspace.root, f"{RECIPE}/v1", RECIPE)
    lost = str(lock.output("evaluate", "artifacts/demo/evaluation"))
    dvc_files.object_path(cache, lost).unlink()
    before = contents(cache)
    gone = collected(workspace)
    assert gone.found == []
    assert lost in gone.left[0]
    assert "dvc fetch" in gone.left[0]
    assert contents(cache) == before


def test_without_the_whole_history_nobody_can_tell_so_the_cache_stays(
    workspace: Workspace, tmp_path: Path
) -> None:
    root = tmp_path / "shallow"
    git.run(tmp_path, "clone", "--quiet", "--depth=1", workspace.root.as_uri(), str(root))
    shutil.copytree(workspace.root / ".dvc/cache", root / ".dvc/cache")
    assert dvc_files.cache_folder(root) == root / ".dvc/cache/files/md5"
    left = gc.plan(Workspace(root, root))
    assert left.found == []
    assert "fetch --unshallow" in left.left[0]

    git.run(workspace.root, "checkout", "--quiet", "--orphan", "anew")
    git.run(workspace.root, "commit", "--quiet", "--message", "The history was cut off")
    for ref in git.run(workspace.root, "for-each-ref", "--format=%(refname)").split():
        if not ref.endswith("anew"):
            git.run(workspace.root, "update-ref", "-d", ref)
    git.run(workspace.root, "reflog", "expire", "--expire=now", "--all")
    git.run(workspace.root, "gc", "--quiet", "--prune=now")
    left = gc.plan(workspace)
    assert left.found == []
    assert "the ledger names commits that git does not have" in left.left[0]


def test_what_an_older_segtrail_wrote_of_a_training_stays(workspace: Workspace) -> None:
    write_text(workspace.root / "made" / "training" / "run.json", "{}\n")
    miniature.dvc(workspace.root, "repro", "--quiet", "--force")
    git.commit(workspace.root, ["dvc.lock"], "Train with threshold 161")
    miniature.retrain(workspace, threshold=170)
    collected(workspace)
    assert candidates(workspace)[161]
    assert not candidates(workspace)[130]


@pytest.mark.parametrize("name", ["ledger/demo.jsonl", "dvc.lock"])
def test_what_cannot_be_read_stops_it_and_is_named(workspace: Workspace, name: str) -> None:
    (workspace.root / name).write_text("<<<<<<< ours\n")
    with pytest.raises(LineageError, match=name):
        gc.plan(workspace)
