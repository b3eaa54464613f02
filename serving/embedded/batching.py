"""Requests that wait at the same time are computed together, as TF Serving batches them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from serving.embedded.batching_rules import Rules
from serving.embedded.call import Arrays, Call, Model
from serving.embedded.refusal import FAILED_PRECONDITION, INVALID_ARGUMENT, UNAVAILABLE, Refusal


@dataclass(eq=False)
class _Task:
    call: Call
    answer: Future[Arrays] = field(default_factory=Future)


@dataclass(eq=False)
class _Batch:
    model: Model
    since: float
    tasks: list[_Task] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(task.call.rows for task in self.tasks)


class Batcher:
    """Computes calls of many threads together.

    Requests go into one batch if model, signature, outputs and the shapes of their rows are the
    same. A batch that fails is computed again request by request, so that one bad request does
    not fail its neighbours.

    Args:
        rules: When a batch is large or old enough.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._waiting: dict[Hashable, deque[_Batch]] = {}
        self._changed = threading.Condition()  # guards what waits
        for number in range(rules.threads):
            threading.Thread(target=self._work, daemon=True, name=f"batch-{number}").start()

    def compute(self, model: Model, call: Call) -> Arrays:
        """Returns what the model computes; waits for it.

        Raises:
            Refusal: INVALID_ARGUMENT: the request alone is larger than a batch; UNAVAILABLE: too
                many batches wait; else what the model says.
        """
        if not call.rows:  # nothing along which to join: `metadata` has no inputs
            return model.compute(call)
        if call.rows > self._rules.max_batch_size:
            raise Refusal(
                INVALID_ARGUMENT,
                f"Task size {call.rows} is larger than maximum input batch size "
                f"{self._rules.max_batch_size}",
            )
        step = self._rules.max_execution_batch_size
        starts = range(0, call.rows, step)
        parts = [call.row(k, k + step) for k in starts] if len(starts) > 1 else [call]
        answers = [self._enqueue(model, part) for part in parts]
        found = [answer.result() for answer in answers]
        return found[0] if len(found) == 1 else _joined(found)

    def _enqueue(self, model: Model, call: Call) -> Future[Arrays]:
        key = (
            model, call.signature, call.outputs,
            tuple((name, array.shape[1:]) for name, array in sorted(call.inputs.items())),
        )  # fmt: skip
        with self._changed:
            batches = self._waiting.setdefault(key, deque())
            if not batches or batches[-1].rows + call.rows > self._rules.max_execution_batch_size:
                if len(batches) >= self._rules.max_enqueued_batches:
                    raise Refusal(
                        UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full; "
                        f"currently {len(batches)} batches enqueued and max_enqueued_batches is "
                        f"{self._rules.max_enqueued_batches}",
                    )
                batches.append(_Batch(model, time.monotonic()))
            task = _Task(call)
            batches[-1].tasks.append(task)
            self._changed.notify()
        return task.answer

    def _work(self) -> None:
        while True:
            batch = self._next()
            try:
                _answer(batch, self._rules)
            except Exception as e:
                for task in batch.tasks:
                    if not task.answer.done():
                        task.answer.set_exception(e)

    def _next(self) -> _Batch:
        """Waits for the oldest batch that is full, followed by another one, or old enough."""
        with self._changed:
            while True:
                now, soonest = time.monotonic(), None
                ready: tuple[float, Hashable] | None = None
                for key, batches in self._waiting.items():
                    first = batches[0]
                    full = len(batches) > 1 or first.rows >= self._rules.max_execution_batch_size
                    due = first.since if full else first.since + self._rules.timeout_s
                    if due <= now:
                        if ready is None or first.since < ready[0]:
                            ready = first.since, key
                    else:
                        soonest = due if soonest is None else min(soonest, due)
                if ready is not None:
                    queue = self._waiting[ready[1]]
                    batch = queue.popleft()
                    if not queue:
                        del self._waiting[ready[1]]
                    return batch
                self._changed.wait(None if soonest is None else soonest - now)


def _answer(batch: _Batch, rules: Rules) -> None:
    """Computes a batch and gives each task its rows, or its own error."""
    tasks = []
    for task in batch.tasks:
        try:
            task.call.left()
        except Refusal as e:
            task.answer.set_exception(e)
        else:
            tasks.append(task)
    if not tasks:
        return
    calls = [task.call for task in tasks]
    rows = sum(call.rows for call in calls)
    padding = rules.padding(rows)
    if len(calls) > 1 or padding:
        try:
            found = batch.model.compute(Call.merged(calls, padding), blame=False)
            _check(found, rows + padding)
        except Refusal:
            pass  # one of them, or all: each is asked alone
        else:
            first = 0
            for task in tasks:
                end = first + task.call.rows
                task.answer.set_result({name: value[first:end] for name, value in found.items()})
                first = end
            return
    for task in tasks:
        try:
            task.answer.set_result(batch.model.compute(task.call))
        except Refusal as e:
            task.answer.set_exception(e)


def _check(found: Arrays, rows: int) -> None:
    for value in found.values():
        if not value.ndim or len(value) != rows:
            raise Refusal(
                FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th "
                "dimension sizes of the input tensors",
            )


def _joined(parts: Sequence[Arrays]) -> dict[str, Any]:
    import numpy as np

    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
