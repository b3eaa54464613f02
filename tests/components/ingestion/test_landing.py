"""A kill at any step leaves the old folder or the new one, and the next call finishes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from components.ingest import ingest
from components.ingestion import landing as landing_module
from components.ingestion.landing import Landing
from segtrail import git
from segtrail.errors import WorkspaceError
from segtrail.files import tree_digests
from segtrail.workspace import Workspace

OLD = {"images/a.png": b"old a", "masks/a.png": b"mask a", "splits.csv": b"a"}
NEW = {"images/a.png": b"old a", "images/b.png": b"b", "masks/a.png": b"mask a",
       "masks/b.png": b"mask b", "splits.csv": b"a b"}  # fmt: skip


class Killed(BaseException):
    """Like SIGKILL: no `except Exception` sees it."""


class Steps:
    """Counts the calls that change the disk and kills before the one it is told."""

    def __init__(self, monkeypatch, kill_at: int) -> None:
        self.count, self.kill_at = 0, kill_at
        for module, name in (
            (os, "rename"), (os, "replace"), (os, "unlink"), (os, "fsync"), (os, "link"),
            (shutil, "rmtree"), (landing_module, "exchange"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, self.counted(getattr(module, name)))

    def counted(self, function):
        def step(*args, **kwargs):
            self.before_step()
            return function(*args, **kwargs)

        return step

    def before_step(self) -> None:
        self.count += 1
        if self.count >= self.kill_at:  # a killed process does nothing more
            raise Killed


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def land(workspace, record):
    """Brings the dataset `d` from OLD to NEW."""
    landing = Landing(workspace)
    landing.start()
    for name in NEW:
        if name in OLD and name != "splits.csv":
            landing.keep("d", name)
        else:
            landing.stage(name, NEW[name])
    return landing.commit("d", "Ingest d", record)


def resume(workspace, record):
    landing = Landing(workspace)
    with landing.lock():
        return landing.resume(record)


def prepare(root):
    folder = root / "data/d"
    for name, data in OLD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return Workspace(root, root)


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_kill_before_each_step(tmp_path, monkeypatch, exchanges):
    if not exchanges:  # as on a system without renameat2
        monkeypatch.setattr(landing_module, "exchange", lambda *paths: False)
    finished, outcomes, kill_at = False, set(), 0
    while not finished:
        kill_at += 1
        workspace = prepare(tmp_path / str(kill_at))
        recorded: list[str] = []
        with monkeypatch.context() as patch:
            steps = Steps(patch, kill_at)

            def record(message, steps=steps, recorded=recorded):
                steps.before_step()
                recorded.append(message)

            try:
                land(workspace, record)
                finished = True
            except Killed:
                pass
        data = workspace.data
        # Under data/: one whole folder (without an exchange, between two renames, none).
        assert [path.name for path in data.iterdir()] in ([["d"]] if exchanges else [["d"], []])
        found = content(data / "d")
        assert found in (OLD, NEW, {})
        journal = Landing(workspace).journal.exists()
        resume(workspace, recorded.append)
        now = content(data / "d")
        assert now == (NEW if journal or found == NEW else OLD)
        assert "Ingest d" in recorded or now == OLD
        assert not any(path.is_file() for path in (workspace.scratch / "ingest").glob("*.json"))
        assert not (workspace.scratch / "ingest/new").exists()
        assert not (workspace.scratch / "ingest/old").exists()
        outcomes.add((len(found), journal))
    assert kill_at > 15
    expected = {(len(OLD), False), (len(OLD), True), (len(NEW), True), (len(NEW), False)}
    assert outcomes == expected | (set() if exchanges else {(0, True)})


def test_what_changed_after_the_crash_is_not_recorded_as_the_delivery(tmp_path):
    workspace = prepare(tmp_path)

    def crash(message):
        raise Killed

    with pytest.raises(Killed):
        land(workspace, crash)
    (workspace.data / "d/images/b.png").write_bytes(b"edited")
    with pytest.raises(WorkspaceError, match="changed since") as caught:
        resume(workspace, lambda message: pytest.fail("recorded an edit"))
    assert "journal.json" in (caught.value.hint or "")
    (workspace.data / "d/images/b.png").write_bytes(NEW["images/b.png"])
    recorded: list[str] = []
    resume(workspace, recorded.append)
    assert recorded == ["Ingest d"]


def test_what_stays_is_linked_not_copied_and_survives(tmp_path):
    workspace = prepare(tmp_path)
    kept = workspace.data / "d/images/a.png"
    kept.chmod(0o444)  # as DVC protects it
    inode = kept.stat().st_ino
    land(workspace, lambda message: None)
    assert kept.stat().st_ino == inode
    assert content(workspace.data / "d") == NEW


def test_a_link_into_the_cache_is_kept_as_its_content(tmp_path):
    workspace = prepare(tmp_path)
    cached = tmp_path / "cached"
    cached.write_bytes(OLD["images/a.png"])
    (workspace.data / "d/images/a.png").unlink()
    (workspace.data / "d/images/a.png").symlink_to(cached)
    land(workspace, lambda message: None)
    assert content(workspace.data / "d") == NEW
    assert not (workspace.data / "d/images/a.png").is_symlink()
    assert cached.read_bytes() == OLD["images/a.png"]


# Ends the process, as SIGKILL would, before the n-th of: the journal's rename, the exchange of
# the folders, `dvc add`, `git add`, `git commit`, the journal's removal.
KILLED_INGEST = """
import os, sys
from pathlib import Path
from components.ingest import ingest
from components.ingestion import landing
from components.ingestion.landing import Landing
from segtrail.workspace import Workspace

root, source, kill_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
workspace, seen = Workspace(root, root), [0]
journal = str(Landing(workspace).journal)
started = [False]

def is_step(event, arguments):
    if event == "os.rename":
        started[0] = started[0] or str(arguments[1]) == journal
        return started[0]
    if event == "os.remove":
        return str(arguments[0]) == journal
    return started[0] and event == "subprocess.Popen" and {"add", "commit"} & set(arguments[1])

def step():
    seen[0] += 1
    if seen[0] == kill_at:
        os._exit(9)

def watch(event, arguments):
    if is_step(event, arguments):
        step()

exchange = landing.exchange

def watched_exchange(*paths):
    step()
    return exchange(*paths)

landing.exchange = watched_exchange
sys.addaudithook(watch)
ingest(workspace, "nuclei", source)
"""


def killed_ingest(lab, source, kill_at):
    return subprocess.run(
        [sys.executable, "-c", KILLED_INGEST, str(lab.root), str(source), str(kill_at)],
        check=False, capture_output=True,
    ).returncode  # fmt: skip


def check_recovery(lab, source, committed):
    """The next call finishes; afterwards all is as if nothing had happened."""
    images = {path.stem for path in (lab.root / "data/nuclei/images").glob("*")}
    assert images == set(lab.splits())  # old or new, whole
    assert images in (set("abcd"), set("abcdef"))
    delivery = ingest(lab.workspace, "nuclei", source)
    assert delivery.images == 6
    assert set(lab.splits()) == set("abcdef")
    assert git.run(lab.root, "status", "--porcelain") == ""
    assert git.run(lab.root, "rev-list", "--count", "HEAD") == str(committed)
    assert lab.dvc("status", "--json", "data.dvc") == "{}"
    assert [path.name for path in (lab.root / ".segtrail/ingest").iterdir()] == ["lock"]


def test_a_real_kill_before_dvc_add_is_finished_by_the_next_call(landed, capsys):
    """The 3rd step: journal, exchange, then `dvc add`."""
    source = landed.delivery("second", "ef")
    assert killed_ingest(landed, source, 3) == 9
    assert len(tree_digests(landed.root / "data")) == 2 * 6 + 5
    check_recovery(landed, source, committed=3)
    out = capsys.readouterr().out
    assert "finished the interrupted ingestion" in out
    assert "nothing changes" in out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_kill_before_each_step(landed, tmp_path):
    kill_at, code = 0, 9
    while code == 9:
        kill_at += 1
        base = tmp_path / str(kill_at)
        shutil.copytree(landed.root, base / "workspace")
        lab = type(landed)(base / "workspace", base / "bench")
        source = lab.delivery("second", "ef")
        code = killed_ingest(lab, source, kill_at)
        check_recovery(lab, source, committed=3)
    assert code == 0
    assert kill_at == 7
