"""A workspace that is broken again and again: made once, copied for each case."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from scripts.made_workspace import DATASET, RECIPE, MadeWorkspace
from segtrail.saved_model import digest
from serving.client import SegmentationClient
from serving.launch import free_port

STEPS = (
    "examples", "validate", "transform", "train", "evaluate", "gate", "infra-validate", "promote",
)  # fmt: skip
_PATIENCE_S, _POLL_S = 900.0, 0.02


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
        self._out: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, cwd=bench.root, env=bench.environment, stdin=subprocess.DEVNULL,
            stdout=self._out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def said(self) -> str:
        """Returns what it has printed so far."""
        self._out.seek(0)
        return self._out.read()

    def ends(self) -> Said:
        """Waits for its end."""
        self.process.wait(_PATIENCE_S)
        return Said(self.process.returncode, self.said())

    def kill(self) -> None:
        """Kills it, if it still runs."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


class Bench(MadeWorkspace):
    """A workspace whose v1 serves and to which new images came.

    Args:
        folder: Where it is made; the workspace is always at the same place in it.

    Attributes:
        digest: Of the model that an unbroken run makes of the new images.
        seconds: How long each step of that run takes.
        grows: By how many bytes that run makes the workspace larger.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "workspace")
        self._kept = folder / "kept"
        self.port = free_port()
        self.digest, self.seconds, self.grows = "", dict.fromkeys(STEPS, 0.0), 0

    def prepare(self) -> None:
        """Makes the workspace, and measures an unbroken run."""
        self.clone()
        self.change_params(self._small)
        self.segtrail("ingest", str(self.delivery(28, seed=1)), "--dataset", DATASET)
        self.segtrail("retrain", "--recipe", RECIPE)
        self.segtrail("ingest", str(self.delivery(12, seed=2)), "--dataset", DATASET)
        shutil.rmtree(self.root / ".prefect", ignore_errors=True)
        self.root.rename(self._kept)
        self.reset()
        before = self.size()
        run = self.retrain()
        while not run.is_over():
            for step in STEPS:
                self.seconds[step] += _POLL_S * bool(self.processes_of(step))
            time.sleep(_POLL_S)
        done = run.ends()
        if done.code:
            raise RuntimeError(f"the unbroken run failed:\n{done.text}")
        self.digest = digest(self.store / "2")
        self.grows = self.size() - before

    def _small(self, params: dict[str, Any]) -> None:
        recipe = params["recipes"][RECIPE]
        params["datasets"] = {DATASET: params["datasets"][DATASET]}
        params["recipes"] = {RECIPE: recipe}
        recipe["training"] |= {"steps": 60, "validate_every": 20}
        recipe["network"] = {"base_filters": 4, "depth": 2}
        recipe["serving"] = {"target": f"127.0.0.1:{self.port}"}
        recipe["gate"] = {"absolute": [{"metric": "mean_iou", "min": 0.3}]}

    def reset(self) -> None:
        """Puts the workspace back to what it was."""
        if self.root.is_mount():
            for each in self.root.iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        else:
            shutil.rmtree(self.root, ignore_errors=True)
        self.variables = {}
        subprocess.run(["cp", "-a", f"{self._kept}/.", str(self.root)], check=True)

    def size(self) -> int:
        """Returns the bytes that the workspace takes on the disk."""
        done = subprocess.run(
            ["du", "-s", "-B1", str(self.root)], check=True, capture_output=True, text=True
        )
        return int(done.stdout.split()[0])

    @property
    def store(self) -> Path:
        """The folder of the recipe's served versions."""
        return self.root / "serving" / "models" / RECIPE

    def start(self, *arguments: str) -> Running:
        """Starts `segtrail ARGUMENTS`."""
        return Running(self, self.command(*arguments))

    def retrain(self) -> Running:
        """Starts a retraining."""
        return self.start("retrain", "--recipe", RECIPE)

    @contextmanager
    def serving(self) -> Iterator[Running]:
        """Runs the model server."""
        server = self.start("serve", "--port", str(self.port))
        try:
            with SegmentationClient(f"127.0.0.1:{self.port}") as client:
                client.wait_until_available(RECIPE)
            yield server
        finally:
            server.kill()

    # processes

    def processes_of(self, step: str) -> list[psutil.Process]:
        """Returns the processes of a step: `segtrail STEP`, or `python -m cli STEP`."""
        found = []
        for process, line in self.processes():
            words = [Path(word).name for word in line]
            if any((a, b) in (("segtrail", step), ("cli", step)) for a, b in _pairs(words)):
                found.append(process)
        return found

    def processes(self) -> list[tuple[psutil.Process, list[str]]]:
        """Returns the processes that work in the workspace, each with its command line."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.cwd() == str(self.root) and process.pid != os.getpid():
                    found.append((process, process.cmdline()))
        return found

    def wait_for(self, what: Callable[[], object], run: Running) -> None:
        """Waits until something is so, while a command runs.

        Raises:
            RuntimeError: The command ended before.
        """
        end = time.monotonic() + _PATIENCE_S
        while not what():
            if run.is_over() or time.monotonic() > end:
                raise RuntimeError(f"what was waited for did not come:\n{run.said()}")
            time.sleep(_POLL_S)

    def kill(self, processes: list[psutil.Process]) -> None:
        """Kills processes."""
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    return itertools.pairwise(words)
