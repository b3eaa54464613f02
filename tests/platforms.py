"""Workspaces whose servers, those of `segtrail up`, have free loopback ports."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import yaml

from flows.platform import plan, remains, supervisor
from segtrail.workspace import Workspace
from serving.launch import free_port

ROOT = Path(__file__).resolve().parents[1]
SERVERS = ("PREFECT_", "MLFLOW_", "SEGTRAIL_")


class Place:
    """A workspace whose servers have free ports."""

    def __init__(self, root: Path, code: Path = ROOT, **platform: object) -> None:
        self.root = root
        self.ports = {name: free_port() for name in ("prefect", "mlflow", "serving")}
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["platform"] = {"ports": self.ports, **platform}
        root.mkdir(parents=True, exist_ok=True)
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        if code == ROOT:
            (root / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(SERVERS)},
            "PYTHONPATH": str(code), "DO_NOT_TRACK": "true", "PREFECT_WORKER_QUERY_SECONDS": "2",
        }  # fmt: skip
        self.folder = root / ".segtrail/up"
        self.prefect = f"http://127.0.0.1:{self.ports['prefect']}/api"
        self.mlflow = f"http://127.0.0.1:{self.ports['mlflow']}"

    def segtrail(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments], cwd=self.root, env={**self.env, **more},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def up(self, **more: str) -> str:
        done = self.segtrail("up", **more)
        assert done.returncode == 0, done.stdout + done.stderr + self.said()
        return done.stdout

    def said(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def plan(self) -> plan.Plan:
        found = plan.read(Workspace(self.root, self.root))
        assert found is not None
        return found

    def pids(self) -> dict[str, int]:
        return {name: state.pid for name, state in supervisor.states(self.plan()).items()}

    def listening(self) -> list[int]:
        return [port for port in self.ports.values() if listens(port)]

    def left(self) -> list[str]:
        return [f"{name} {process.pid}" for name, process in remains.find(self.folder)]


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


@contextlib.contextmanager
def making() -> Iterator[Callable[..., Place]]:
    """Yields what makes workspaces; stops in the end whatever was started in them."""
    made: list[Place] = []

    def make(root: Path, **more: object) -> Place:
        made.append(Place(root, **more))
        return made[-1]

    yield make
    for place in made:
        place.segtrail("down")
        for _, process in remains.find(place.folder):  # a failed test's
            with contextlib.suppress(psutil.Error):
                process.kill()
