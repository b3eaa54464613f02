"""The leash, the lines of a command, and the lock of a workspace."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from flows import process
from flows.environment import child_environment, prefect_environment
from segtrail.lock import flow_lock
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable


def test_lines_of_both_outputs_come_one_by_one(tmp_path):
    script = "import sys; print('a'); print('b', file=sys.stderr); print('x\\ry'); sys.exit(7)"
    lines: list[str] = []
    done = process.run([PYTHON, "-c", script], tmp_path, lines.append)
    assert done == process.Finished(7, ["a", "x", "y"], ["b"])
    assert sorted(lines) == ["a", "b", "x", "y"]


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    script = "import sys; sys.stdout.buffer.write(b'\\xff\\xfe ok\\n')"
    done = process.run([PYTHON, "-c", script], tmp_path, lambda line: None)
    assert done.code == 0
    assert done.out[0].endswith(" ok")


def test_a_signal_is_told_as_a_shell_does(tmp_path):
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert process.run([PYTHON, "-c", script], tmp_path, print).code == 137


def test_what_a_command_leaves_behind_ends_with_it(tmp_path, patiently):
    child = "import subprocess; p = subprocess.Popen(['sleep', '60'], {}); print(p.pid)"
    for more in ("", "process_group=0"):
        script = child.format(more)
        done = process.run([PYTHON, "-c", script], tmp_path, lambda line: None)
        pid = int(done.out[0])
        patiently(lambda pid=pid: not running(pid), 10)


def test_the_command_ends_when_its_asker_is_killed(tmp_path, patiently):
    pid_file = tmp_path / "pid"
    inner = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        f"from flows import process; from pathlib import Path\n"
        f"process.run([{PYTHON!r}, '-c', {inner!r}], Path('.'), print)"
    )
    asker = subprocess.Popen([PYTHON, "-c", script], cwd=ROOT)
    patiently(lambda: pid_file.exists() and pid_file.read_text() != "", 30)
    asker.kill()
    asker.wait()
    patiently(lambda: not running(int(pid_file.read_text())), 20)


def test_children_run_the_workspace_s_own_code(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{tmp_path}")
    env = child_environment(tmp_path)
    assert env["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/elsewhere"
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert env["DVC_NO_ANALYTICS"] == "1"


def test_prefect_keeps_its_history_in_the_workspace_unless_told(tmp_path, monkeypatch):
    workspace = Workspace.at(tmp_path)
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    assert prefect_environment(workspace)["PREFECT_HOME"] == str(tmp_path / ".prefect")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert prefect_environment(workspace) == {}


def test_one_flow_at_a_time(tmp_path):
    workspace, order = Workspace.at(tmp_path), []
    waiting = threading.Event()

    def second() -> None:
        def say(text: str) -> None:
            order.append(text)
            waiting.set()

        with flow_lock(workspace, say):
            order.append("second")

    with flow_lock(workspace, order.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first ends")
    thread.join(10)
    assert order == [
        f"waiting for another flow or ingestion in this workspace (pid {os.getpid()})",
        "first ends",
        "second",
    ]


def test_the_lock_is_held_until_the_last_child_is_gone(tmp_path):
    """A flow that is killed gives its lock back when its children have ended, not before."""
    workspace = Workspace.at(tmp_path)
    with flow_lock(workspace, print) as fd:
        process_ = subprocess.Popen(
            process.leashed(["sleep", "60"]), stdin=subprocess.PIPE, pass_fds=(fd,)
        )
    taken = threading.Event()

    def take() -> None:
        with flow_lock(workspace, lambda text: None):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(1.5)
    process_.stdin.close()
    assert taken.wait(15)
    thread.join()
    process_.wait()


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
