"""A workspace that is broken again and again: made once, copied for each case."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from scripts.faults.running import PATIENCE_S, Running
from scripts.made_workspace import DATASET, RECIPE, MadeWorkspace, made_small
from segtrail.saved_model import digest
from serving.client import SegmentationClient
from serving.launch import free_port

STEPS = (
    "examples", "validate", "transform", "train", "evaluate", "gate", "infra-validate", "promote",
)  # fmt: skip
_POLL_S = 0.02


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
        made_small(recipe)
        recipe["serving"] = {"target": f"127.0.0.1:{self.port}"}

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

    @contextmanager
    def server(self, command: list[str], port: int) -> Iterator[Running]:
        """Runs another server, from when it listens on its port of 127.0.0.1."""
        server = Running(self, command)
        try:
            self.wait_for(lambda: _listens(port), server)
            yield server
        finally:
            server.kill()

    # processes

    def processes_of(self, step: str) -> list[psutil.Process]:
        """Returns the processes of a step: `segtrail STEP`, or `python -m cli STEP`."""
        found = []
        for process, line in self.processes():
            words = [Path(word).name for word in line]
            if any((a, b) in (("segtrail", step), ("cli", step)) for a, b in pairwise(words)):
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
        end = time.monotonic() + PATIENCE_S
        while not what():
            if run.is_over() or time.monotonic() > end:
                raise RuntimeError(f"what was waited for did not come:\n{run.said()}")
            time.sleep(_POLL_S)

    def kill(self, processes: list[psutil.Process]) -> None:
        """Kills processes."""
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


def _listens(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(0.2)
        return s.connect_ex(("127.0.0.1", port)) == 0
