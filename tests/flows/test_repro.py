"""Stages through the real DVC: what it did, what it said, and what is left after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import miniature
import pytest

from flows import process
from flows.repro import Did, as_error, reproduce
from flows.step_fault import BusyError, StepFault
from lineage.dvc_files import file_md5
from segtrail.errors import EXIT_FAULT, StageError
from segtrail.files import tree_digests

ROOT = Path(__file__).resolve().parents[2]
STAGE = """
import os, sys, time
from pathlib import Path
print("half way", flush=True)
do = Path("do").read_text()
if do == "fail":
    print("a library warns", file=sys.stderr)
    print("error: in.txt: expected 3 lines, found 2\\n  -> add a line", file=sys.stderr)
    sys.exit(1)
if do == "bug":
    raise ValueError("nobody thought of this")
if do == "silent":
    os._exit(9)
if do == "killed":
    os.kill(os.getpid(), 9)
if do == "hang":
    Path("pid").write_text(str(os.getpid()))
    time.sleep(120)
Path("out.txt").write_text(Path("in.txt").read_text() + do)
Path("more").mkdir()
Path("more/a.txt").write_text("a")
Path("more/b.txt").write_text("b")
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A DVC repository with one stage, `make@toy`, that has not run."""
    (tmp_path / "dvc.yaml").write_text(
        textwrap.dedent(f"""
        stages:
          make:
            foreach: {{toy: 1}}
            do:
              cmd: {sys.executable} stage.py
              deps: [in.txt, do]
              outs: [out.txt, more]
        """)
    )
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "in.txt").write_text("in")
    (tmp_path / "do").write_text("work")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    env = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", "init", "--quiet"]
    subprocess.run(command, cwd=tmp_path, check=True, env=env)
    return tmp_path


def run(root: Path) -> tuple[Did, list[str]]:
    lines: list[str] = []
    return reproduce(root, "make@toy", lines.append), lines


def test_it_runs_then_stands_then_is_restored(toy):
    assert run(toy) == (Did.RAN, ["half way"])
    assert run(toy) == (Did.SKIPPED, [])
    (toy / "in.txt").write_text("other")
    assert run(toy)[0] is Did.RAN
    (toy / "in.txt").write_text("in")
    did, lines = run(toy)
    assert (did, lines) == (Did.RESTORED, [])
    assert (toy / "out.txt").read_text() == "inwork"


def test_a_killed_stage_is_a_fault(toy):
    (toy / "do").write_text("killed")
    with pytest.raises(StepFault, match=r"make@toy: killed by signal 9 \(Killed\)") as raised:
        run(toy)
    assert raised.value.exit_code == EXIT_FAULT
    assert "run it again" in raised.value.hint


@pytest.mark.parametrize(
    ("do", "message", "hint"),
    [
        ("fail", "in.txt: expected 3 lines, found 2", "add a line"),
        ("bug", "ValueError: nobody thought of this", None),
        ("silent", "failed to run", None),
    ],
)
def test_a_failure_speaks_in_the_stage_s_own_words(toy, do, message, hint):
    (toy / "do").write_text(do)
    with pytest.raises(StageError) as caught:
        run(toy)
    assert message in caught.value.message
    assert caught.value.hint == hint
    assert "ERROR: failed to reproduce" not in str(caught.value)


def test_a_missing_input_is_dvc_s_to_tell(toy):
    (toy / "in.txt").unlink()
    with pytest.raises(StageError, match=r"make@toy: DVC: .*in\.txt"):
        run(toy)


def test_after_a_kill_nothing_is_left_and_the_next_run_finishes(toy, patiently):
    (toy / "do").write_text("hang")
    script = "import sys; from pathlib import Path; from flows.repro import reproduce\n"
    script += "reproduce(Path(sys.argv[1]), 'make@toy', print)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    runner = subprocess.Popen([sys.executable, "-c", script, str(toy)], env=env)
    patiently((toy / "pid").exists, 60)
    stage = int((toy / "pid").read_text())
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    patiently(lambda: not alive(stage), 30)
    (toy / "do").write_text("work")
    assert run(toy)[0] is Did.RAN
    assert (toy / "out.txt").read_text() == "inwork"


def test_another_dvc_command_is_waited_for(toy, patiently):
    from zc.lockfile import LockFile

    lines: list[str] = []
    held = LockFile(str(toy / ".dvc/tmp/lock"))

    def note(line: str) -> None:
        lines.append(line)
        if "waiting" in line:
            held.close()

    assert reproduce(toy, "make@toy", note) is Did.RAN
    assert lines == ["another DVC command runs in this workspace; waiting for it", "half way"]


def test_a_lock_that_is_never_given_back_is_told(toy):
    from zc.lockfile import LockFile

    held = LockFile(str(toy / ".dvc/tmp/lock"))
    with pytest.raises(BusyError, match="Unable to acquire lock") as raised:
        reproduce(toy, "make@toy", lambda line: None, busy_s=0)
    assert raised.value.exit_code == EXIT_FAULT
    held.close()


def test_the_last_error_is_the_one_told():
    err = ["error: the first", "  -> do this", "log", "error: the second", "  more of it"]
    found = as_error(process.Finished(1, [], err), "train")
    assert found.message == "the second\n  more of it"
    assert found.hint is None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("name", ["out.txt", "more/b.txt"])
def test_what_the_cache_forgot_is_made_anew(toy: Path, name: str) -> None:
    """DVC itself puts other bytes back, unless somebody made the file of its cache writable."""
    reproduce(toy, "make@toy", lambda line: None)
    before = tree_digests(toy)
    md5 = file_md5(toy / name)
    miniature.flip(toy / ".dvc/cache/files/md5" / md5[:2] / md5[2:])
    (toy / "out.txt").unlink()
    shutil.rmtree(toy / "more")
    said: list[str] = []
    assert reproduce(toy, "make@toy", said.append) == Did.RAN
    assert any(f"other bytes than were made of {name}: made anew" in line for line in said)
    assert {n: d for n, d in tree_digests(toy).items() if "tmp" not in n} == {
        n: d for n, d in before.items() if "tmp" not in n
    }
