"""What happens on which day. A day is a scheduled retraining, from its start to its end."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import psutil

from scripts.made_workspace import DATASET, RECIPE
from scripts.soak.world import ENDED, Client, World

_PATIENCE_S, _WEEKS_PATIENCE_S = 1200, 600
_FEW, _MORE = 12, 8  # images of a delivery; the first has six times as many


class Month:
    """The days, and the client that asks all the while.

    Attributes:
        runs: All runs of flows that Prefect knows, as of the last look.
        client: What asks the model server.
        days: How many scheduled retrainings have ended.
    """

    def __init__(self, world: World, days: int) -> None:
        self._world, self._length = world, days
        self.runs: list[dict[str, Any]] = []
        self.days = 0
        self.client = Client(f"127.0.0.1:{world.ports['serving']}", b"")
        self._seed = 100

    def plan(self) -> dict[int, list[Callable[[], None]]]:
        """Returns what happens on which day; a week has all but two of it, a month pauses."""
        happenings = [
            self.bad_delivery, self.drift, self.training_dies, self.worse_model, self.approval,
            self.rollback, self.second_drift,
        ]  # fmt: skip
        if self._length >= 14:
            happenings += [self.machine_dies, self.scheduler_dies]
        step = max(1, (self._length - 2) // len(happenings))
        found = {1: [self.first_delivery]}
        for number, what in enumerate(happenings):
            found.setdefault(min(self._length, 2 + number * step), []).append(what)
        return found

    def live(self) -> None:
        """Lives the days."""
        world, plan = self._world, self.plan()
        world.segtrail("deploy", "--recipe", RECIPE)
        while self.days < self._length:
            dawn = time.time()
            for happening in plan.get(self.days + 1, ()):
                world.note("day", f"{self.days + 1}: {happening.__doc__}")
                happening()
            self._a_run_ends(dawn)
        world.note("day", f"{self.days} scheduled runs have ended")

    # what happens

    def first_delivery(self) -> None:
        """The first images arrive."""
        self._deliver(6 * _FEW)
        self._until(lambda: self._champion() is not None)
        image = next((self._clone / f"data/{DATASET}/images").glob("*.png"))
        self.client.image = image.read_bytes()
        self.client.start()
        self._see()

    def bad_delivery(self) -> None:
        """A delivery with a damaged image is refused, a good one lands."""
        self._deliver(_MORE, damaged=True)
        self._until_one_more("Refused")
        self._deliver(_FEW)

    def drift(self) -> None:
        """Production sees blurred, darker images: a retraining is asked for, new data comes."""
        self._see(lambda image: cv2.GaussianBlur(image, (0, 0), 4) // 2)
        self._monitor("Severe")
        self._deliver(_FEW)

    def second_drift(self) -> None:
        """Production drifts once more."""
        self._see(lambda image: 255 - image)
        self._monitor("Severe")
        self._see()

    def training_dies(self) -> None:
        """The training is killed in its midst; the step is tried again."""
        self._deliver(_FEW)
        self._process("train", "--recipe").kill()
        self._world.note("crash", "training killed")

    def machine_dies(self) -> None:
        """Worker and run are killed at once; the next run goes on."""
        self._deliver(_FEW)
        self._process("train", "--recipe")  # comes
        worker = self._process("worker", "start")
        for each in (worker, *worker.children()):  # a run goes on without its worker
            each.kill()
        self._world.note("crash", "worker and run killed")
        self._until_one_more("Crashed")

    def scheduler_dies(self) -> None:
        """The Prefect server is killed; its supervisor starts it again."""
        self._process("server", "start").kill()
        self._world.note("crash", "Prefect server killed")

    def worse_model(self) -> None:
        """A setting makes the model worse; the gate refuses it, and the setting is taken back."""
        before = self._steps(1)
        self._until_one_more("Rejected")
        self._steps(before)

    def approval(self) -> None:
        """A recipe that asks for people: the run waits, Grace approves."""
        self._set("promotion", {"approvals": 1})
        self._deliver(_FEW)
        run = self._until_one_more("Suspended")
        self._set("promotion", {"approvals": 0})  # of the next run: this one stays as it is
        said = ("--by", "Grace", "--reason", "looked at all test images")
        self._world.segtrail("approve", run["id"][:8], *said)
        self._world.note("approval", "Grace approved")
        champion = self._champion()
        self._until(lambda: self._champion() != champion)

    def rollback(self) -> None:
        """Ada rolls back; nothing brings the model back before new data."""
        world = self._world
        world.git("merge", "--quiet", "--no-edit", f"segtrail/{RECIPE}")
        world.segtrail("rollback", RECIPE, "--by", "Ada", "--reason", "misses small nuclei")
        world.note("rollback", f"Ada rolled back to v{self._champion()}")

    # how

    @property
    def _clone(self) -> Path:
        return self._world.root / ".segtrail/workers" / RECIPE

    def _champion(self) -> int | None:
        from serving import config

        path = self._world.root / "serving/models.config"
        return config.champion(path, RECIPE) if path.exists() else None

    def _deliver(self, images: int, damaged: bool = False) -> None:
        self._seed += 1
        self._world.deliver(images, self._seed, damaged)
        self._world.note("delivery", f"{images} images{', one damaged' if damaged else ''}")

    def _see(self, change: Callable[[Any], Any] | None = None) -> None:
        """Makes production see the training images, changed or as they are."""
        seen = self._world.seen
        shutil.rmtree(seen)
        seen.mkdir()
        for path in sorted((self._clone / f"data/{DATASET}/images").glob("*.png"))[:60]:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(seen / path.name), image if change is None else change(image))

    def _monitor(self, severity: str) -> None:
        self._world.begin(f"monitor/{RECIPE}")
        self._until_one_more(severity)
        self._world.note("drift", severity.lower())

    def _steps(self, steps: int) -> int:
        before = 0

        def change(params: dict[str, Any]) -> None:
            nonlocal before
            training = params["recipes"][RECIPE]["training"]
            before, training["steps"] = training["steps"], steps
            training["validate_every"] = min(50, steps)

        self._world.change_params(change)
        self._world.note("params", f"training.steps: {steps}")
        return before

    def _set(self, section: str, values: dict[str, Any]) -> None:
        def change(params: dict[str, Any]) -> None:
            params["recipes"][RECIPE].setdefault(section, {}).update(values)

        self._world.change_params(change)
        self._world.note("params", f"{section}: {values}")

    def _until_one_more(self, state: str) -> dict[str, Any]:
        """Waits for a run in this state that was not in it when last looked at; returns it."""
        known = {r["id"] for r in self.runs if r["state"] == state}
        new: list[dict[str, Any]] = []

        def there() -> bool:
            new[:] = [r for r in self._look() if r["state"] == state and r["id"] not in known]
            return bool(new)

        self._until(there)
        return new[0]

    def _look(self) -> list[dict[str, Any]]:
        try:
            self.runs = self._world.runs()
        except httpx.HTTPError:  # the server is being started again
            time.sleep(2)
        return self.runs

    def _a_run_ends(self, dawn: float) -> None:
        """Waits until a scheduled retraining that began since `dawn` has ended."""

        def over() -> bool:
            return any(
                r["flow"] == "retrain" and r["auto"] and r["type"] in ENDED and r["start"] >= dawn
                for r in self._look()
            )

        self._until(over)
        self.days += 1

    def _process(self, *words: str) -> psutil.Process:
        """Returns the workspace's process that has these arguments, once it is there."""
        found: list[psutil.Process] = []
        root = str(self._world.root)

        def there() -> bool:
            for each in psutil.process_iter(["cmdline", "environ"]):
                line = each.info["cmdline"] or ()
                mine = root in str(each.info["environ"] or "")
                if mine and each.pid != os.getpid() and all(word in line for word in words):
                    found.append(each)
            return bool(found)

        self._until(there)
        return found[0]

    def _until(self, what: Callable[[], bool]) -> None:
        patience = _WEEKS_PATIENCE_S if self._length < 14 else _PATIENCE_S
        end = time.monotonic() + patience
        while not what():
            if time.monotonic() > end:
                raise TimeoutError(f"not after {patience} s: {[r['state'] for r in self.runs]}")
            time.sleep(1)
