"""A command that runs, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from scripts.made_workspace import MadeWorkspace

PATIENCE_S = 900.0


@dataclass(frozen=True)
class Said:
    """How a command ended.

    Attributes:
        code: Its exit code; -9 after SIGKILL.
        text: All that it printed.
    """

    code: int
    text: str

    @property
    def error(self) -> str:
        """The error's first line and its hint; empty where it printed none."""
        lines = self.text.splitlines()
        at = max((i for i, line in enumerate(lines) if line.startswith("error: ")), default=None)
        if at is None:
            return ""
        hints = [line.strip() for line in lines[at + 1 : at + 12] if line.startswith("  -> ")]
        return " ".join([lines[at].removeprefix("error: "), *hints[:1]])


class Running:
    """A command that runs; what it prints is kept in a file.

    Args:
        bench: Where.
        command: Program and arguments.
    """

    def __init__(self, bench: MadeWorkspace, command: list[str]) -> None:
        self._root = bench.root
        self._out: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, cwd=bench.root, env=bench.environment, stdin=subprocess.DEVNULL,
            stdout=self._out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def said(self) -> str:
        """Returns what it has printed so far, files named from the workspace."""
        self._out.seek(0)
        return self._out.read().replace(f"{self._root}/", "").replace(str(self._root), ".")

    def ends(self) -> Said:
        """Waits for its end."""
        self.process.wait(PATIENCE_S)
        return Said(self.process.returncode, self.said())

    def kill(self) -> None:
        """Kills it and what it started, if it still runs: MLflow's server is two processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
