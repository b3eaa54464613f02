"""Promotions, rollbacks and canaries that are killed, and what the recovery makes of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import agreement
import miniature

from benchmarks.promotion_worker import OPERATIONS
from benchmarks.promotion_workspace import RECIPE, ROOT, Bench, environment
from components.promote import recover
from components.promotion import steps
from lineage import ledger
from segtrail import saved_model
from serving import config, store
from serving.client import SegmentationClient

SETTLES_S = 30.0


@dataclass
class Kills:
    """What was killed, where, and what was wrong afterwards.

    Attributes:
        killed: `{operation: how often}`.
        at: `{after which step, or "at random": how often}`.
        finished: How many were done before the signal came.
        wrong: What must not be.
        recovery_s: Seconds that each recovery took.
    """

    killed: Counter[str] = field(default_factory=Counter)
    at: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    wrong: list[str] = field(default_factory=list)
    recovery_s: list[float] = field(default_factory=list)


def kill(bench: Bench, kills: int, seed: int) -> Kills:
    """Kills so many walks, every other one right after a step, the others at a random moment.

    Args:
        bench: A workspace whose first version serves, at a live server.
        kills: How many.
        seed: Of what is drawn.
    """
    draw, done = random.Random(seed), Kills()
    boundaries = _boundaries()
    took = dict.fromkeys(OPERATIONS, 10.0) | {"abort": 1.0}  # seconds, until it is known
    for number in range(kills):
        operation = _choose(bench, draw)
        if operation in ("promote", "show"):
            _offer(bench)
        step = next(boundaries[operation]) if number % 2 and operation != "abort" else None
        _one(bench, operation, step, draw, took, done)
    return done


def _one(
    bench: Bench, operation: str, step: int | None, draw: random.Random,
    took: dict[str, float], done: Kills,
) -> None:  # fmt: skip
    worker = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks" / "promotion_worker.py"),
         str(bench.workspace.root), operation, str(-1 if step is None else step)],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdout.readline()  # everything is imported
    started = time.monotonic()
    worker.stdin.write("\n")
    worker.stdin.flush()
    if step is None:
        try:
            worker.wait(draw.uniform(0, took[operation]))
        except subprocess.TimeoutExpired:
            if draw.random() < 0.5:
                os.kill(worker.pid, signal.SIGKILL)
            else:  # as the kernel, or a leash, kills what belongs together
                os.killpg(worker.pid, signal.SIGKILL)
    said = worker.communicate()[0]
    where = "at random" if step is None else f"after {_names(operation)[step]}"
    if worker.returncode == -signal.SIGKILL:
        done.killed[operation] += 1
        done.at[where] += 1
    elif worker.returncode == 0:
        done.finished += 1
        took[operation] = max(took[operation], time.monotonic() - started)
    else:
        done.wrong.append(f"{operation}, {where}: {said[-600:]}")
    what = f"kill {sum(done.killed.values())}, {operation} {where}"
    done.wrong += [f"{what}, before the recovery: {each}" for each in _torn(bench)]
    began = time.monotonic()
    try:
        recover(bench.workspace, RECIPE)
    except Exception as e:
        done.wrong.append(f"{what}: the recovery failed: {e}")
    done.recovery_s.append(time.monotonic() - began)
    took[operation] = max(took[operation], began - started if step is not None else 0.0)
    if recover(bench.workspace, RECIPE):
        done.wrong.append(f"{what}: a second recovery found something to do")
    found = [*agreement.problems(bench.workspace, RECIPE), *_behind(bench)]
    done.wrong += [f"{what}: {each}" for each in found]


def _choose(bench: Bench, draw: random.Random) -> str:
    entries = bench.entries()
    champion, canary = ledger.champion(entries), ledger.canary(entries)
    assert champion is not None
    served = {e.version for e in entries if e.event == ledger.DONE} - {champion.version}
    choices = {"promote": 4, "show": 2, "rollback": 2 if served else 0}
    if canary is not None:
        judged = canary.details["previous"] == champion.version
        choices = {"confirm": 3 if judged else 0, "abort": 1, "rollback": 1 if served else 0}
    return draw.choices([*choices], [*choices.values()])[0]


def _offer(bench: Bench) -> None:
    """Makes a candidate that may be promoted: the last one if that came to nothing."""
    candidate = saved_model.digest(bench.workspace.artifacts(RECIPE) / "model")
    used = {e.model_digest for e in bench.entries() if e.event in agreement.SERVED}
    if candidate in used:
        bench.next_candidate()
    else:
        miniature.judge(bench.workspace, candidate)


def _names(operation: str) -> list[str]:
    taken = steps.CANARY_STEPS if operation == "show" else steps.STEPS
    return [step.__name__ for step in taken]


def _boundaries() -> dict[str, Iterator[int]]:
    """Returns the steps after which to kill, each in turn; an abort has none."""

    def turns(operation: str) -> Iterator[int]:
        while True:
            yield from range(len(_names(operation)))

    return {operation: turns(operation) for operation in OPERATIONS}


def _torn(bench: Bench) -> Iterator[str]:
    """Yields what a server could have met: a version that is not whole."""
    known = {e.version: e.model_digest for e in bench.entries() if e.version}
    for version in store.versions(bench.workspace.models, RECIPE):
        digest = saved_model.digest(bench.workspace.models / RECIPE / str(version))
        if known.get(version) != digest:
            yield f"v{version} in the store is {digest}; the ledger names {known.get(version)}"
    for name, model in config.read(bench.workspace.models_config).items():
        if not set(model.versions) <= set(store.versions(bench.workspace.models, RECIPE)):
            yield f"models.config names {model.versions} of {name}, which the store lacks"


def _behind(bench: Bench) -> list[str]:
    """Returns how the live server does not come to what the ledger says."""
    current = ledger.champion(bench.entries())
    assert current is not None
    end = time.monotonic() + SETTLES_S
    with SegmentationClient(bench.target) as client:
        while True:
            found = [client.served_version(RECIPE, label) for label in (None, config.STABLE)]
            if found == [current.version] * 2:
                return []
            if time.monotonic() > end:
                return [f"the live server answers with {found}; the ledger says v{current.version}"]
            time.sleep(0.1)
