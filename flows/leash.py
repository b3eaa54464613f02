"""Runs a command that cannot outlive the process that asked for it.

Started as a script, with no imports but the standard library's. Its standard input is a pipe
that the asker holds open: when the asker ends, however it ends, the pipe closes and the command
and all its children are stopped. Ctrl-C in a terminal reaches the asker alone, in the same way.
A lock file that the asker passes on stays locked until the last child is gone.

Usage: python leash.py COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_S = 2.0


def _signal_all(leader: int, number: int) -> None:
    """Signals the process group of `leader` and, where /proc shows it, all of its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if name.isdigit() and os.getsid(int(name)) == leader:
                    os.kill(int(name), number)


def main(command: list[str]) -> int:
    """Runs `command` in its own session; returns its exit code (128 + n after signal n)."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        _signal_all(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        _signal_all(child.pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    _signal_all(child.pid, signal.SIGKILL)  # what the command left behind
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main(sys.argv[1:]))
