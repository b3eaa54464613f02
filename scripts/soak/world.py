"""A workspace of its own, with `segtrail up` and a client that never stops asking."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from scripts.made_workspace import DATASET, RECIPE, MadeWorkspace, made_small
from serving.launch import free_port

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_BEGUN: list[StateType] = [kind for kind in StateType if kind is not StateType.SCHEDULED]
_PATIENCE_S = 120.0  # until what was promoted first answers


@dataclass
class Client:
    """Asks the model server for a mask, again and again, for the whole time.

    Attributes:
        target: `host:port`.
        image: What it asks about.
        answers: When, how long it took, and by which version; from the first answer on.
        failures: When, and what was said.
    """

    target: str
    image: bytes
    answers: list[tuple[float, float, int]] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def start(self) -> None:
        """Begins once something serves."""
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Ends after the answer that is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _ask(self) -> None:
        from serving.client import SegmentationClient

        with SegmentationClient(self.target, RECIPE) as client:
            client.wait_until_available(timeout=_PATIENCE_S)
            while not self._stop.wait(0.5):
                began = time.time()
                try:
                    found = client.segment(self.image)
                except Exception as e:
                    self.failures.append((began, str(e)))
                else:
                    self.answers.append((began, time.time() - began, found.version))


class World(MadeWorkspace):
    """A workspace of the demo recipe alone, with its servers.

    Args:
        root: A folder that is not there yet.
        say: Told what happens.
        small: Whether the recipe is made smaller than the demo's.
    """

    def __init__(self, root: Path, say: Callable[[str], None], small: bool = False) -> None:
        self.say, self._small = say, small
        self.inbox, self.seen = root / "incoming", root / "seen"
        self.ports = {name: free_port() for name in ("prefect", "mlflow", "serving")}
        self.events: list[tuple[float, str, str]] = []  # when, kind, words
        server = f"http://127.0.0.1:{self.ports['prefect']}/api"
        super().__init__(root, PREFECT_API_URL=server, PREFECT_HOME=str(root / ".prefect"))

    @property
    def _prefect(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.variables["PREFECT_API_URL"])

    def runs(self) -> list[dict[str, Any]]:
        """Asks the Prefect server for the runs that have begun, in their order.

        Raises:
            httpx.TransportError: It gives no answer.
        """
        wanted = FlowRunFilter(
            tags=FlowRunFilterTags(all_=["segtrail"]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_BEGUN)),
        )
        found: list[FlowRun] = []
        with self._prefect as client:
            flows = {flow.id: flow.name for flow in client.read_flows()}
            while page := client.read_flow_runs(
                flow_run_filter=wanted,
                limit=200,
                offset=len(found),
                sort=FlowRunSort.START_TIME_ASC,
            ):
                found += page
        return [_plain(run, flows[run.flow_id]) for run in found]

    def begin(self, deployment: str) -> None:
        """Has a deployment run."""
        with self._prefect as client:
            one = client.read_deployment_by_name(deployment)
            client.create_flow_run_from_deployment(one.id)

    def note(self, kind: str, words: str) -> None:
        """Keeps what happened, for the timeline."""
        self.events.append((time.time(), kind, words))
        self.say(f"{kind}: {words}")

    def build(self) -> None:
        """Makes the workspace, with everything committed, and starts the platform."""
        self.clone()
        for folder in (self.inbox, self.seen):
            folder.mkdir()
        with (self.root / ".git/info/exclude").open("a") as file:
            file.write("/incoming/\n/seen/\n")
        self.change_params(self._as_operated)
        self.segtrail("up")

    def _as_operated(self, params: dict[str, Any]) -> None:
        params["platform"] = {"ports": self.ports}
        params["datasets"] = {DATASET: params["datasets"][DATASET]}
        params["datasets"][DATASET]["inbox"] = {
            "folder": str(self.inbox), "every": "1min" if self._small else "2min", "settle_s": 1,
            "by": "Core facility",
        }  # fmt: skip
        recipe = params["recipes"][RECIPE]
        params["recipes"] = {RECIPE: recipe}
        if self._small:
            made_small(recipe)
        recipe["serving"]["target"] = f"127.0.0.1:{self.ports['serving']}"
        recipe["operations"] = {
            "retrain": "*/2 * * * *", "images": str(self.seen), "retries": 2, "retry_after": 2,
            "cool_down": 0.0,
        }  # fmt: skip
        recipe["drift"] = {"min_images": 10}

    def deliver(self, images: int, seed: int, damaged: bool = False) -> None:
        """Puts a delivery of made-up images into the inbox."""
        folder = self.delivery(images, seed)
        if damaged:
            victim = next(folder.glob("*/images/*.png"))
            victim.write_bytes(victim.read_bytes()[:100])
        shutil.move(folder, self.inbox / folder.name)

    def close(self) -> None:
        """Stops the platform."""
        self.segtrail("down", check=False)


def _plain(run: FlowRun, flow: str) -> dict[str, Any]:
    assert run.state is not None
    return {
        "id": str(run.id), "flow": flow, "type": run.state.type.value, "state": run.state.name,
        "says": run.state.message or "", "auto": run.auto_scheduled,
        "start": run.start_time and run.start_time.timestamp(),
        "end": run.end_time and run.end_time.timestamp(),
    }  # fmt: skip
