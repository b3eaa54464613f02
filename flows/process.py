"""Runs a command under the leash and hands on its lines as they come."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flows import leash
from flows.environment import child_environment

KEPT_LINES = 200
# What TensorFlow writes before anything can tell it to be quiet: that there is no GPU.
_NOISE = re.compile(r"WARNING: All log messages before absl|[IWE]0000 00:00:\d+")


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Args:
        code: Its exit code; 128 + n after signal n.
        out: The last lines of its standard output.
        err: The last lines of its standard error.
        too_late: Whether it was ended because its time was up.
    """

    code: int
    out: list[str]
    err: list[str]
    too_late: bool = False


def leashed(command: Sequence[str]) -> list[str]:
    """Returns `command` so that it ends when the process that starts it ends.

    The starter gives it a pipe as standard input and holds it open.
    """
    return [sys.executable, "-I", "-S", leash.__file__, *command]


def run(
    command: Sequence[str],
    root: Path,
    on_line: Callable[[str], None],
    keep_open: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    until: float | None = None,
) -> Finished:
    """Runs `command` in `root`; calls `on_line` with each line of both its outputs.

    TensorFlow's start-up lines are left out.

    Args:
        command: Program and arguments.
        root: The workspace: working directory, and where the code comes from.
        on_line: Called from two threads, one call at a time.
        keep_open: File descriptors of locks, held until the last child is gone.
        environment: By default `child_environment(root)`.
        until: On `time.monotonic()`'s clock: the command is ended then, with all its children.
    """
    one_at_a_time = threading.Lock()

    def read(stream: IO[str], kept: deque[str]) -> None:
        for raw in stream:
            line = raw.rstrip("\n")
            if _NOISE.match(line):
                continue
            kept.append(line)
            with one_at_a_time:
                on_line(line)

    process = subprocess.Popen(
        leashed(command), cwd=root, env=environment or child_environment(root), text=True,
        errors="replace", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, pass_fds=tuple(keep_open),
    )  # fmt: skip
    kept: tuple[deque[str], deque[str]] = (deque(maxlen=KEPT_LINES), deque(maxlen=KEPT_LINES))
    try:
        threads = [
            threading.Thread(target=read, args=pair, daemon=True)
            for pair in zip((process.stdout, process.stderr), kept, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        too_late = any(thread.is_alive() for thread in threads)
        if too_late:
            assert process.stdin is not None
            process.stdin.close()
            for thread in threads:
                thread.join()
        code = process.wait()
    finally:
        assert process.stdin is not None
        process.stdin.close()  # lets the leash stop the children when this is an interruption
        process.wait()
    return Finished(code, list(kept[0]), list(kept[1]), too_late)
