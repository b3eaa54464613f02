"""Clients that ask without a pause while versions change, and what their answers prove."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.promotion_workspace import PROBE, RECIPE, Bench
from lineage import ledger
from segtrail.errors import SegtrailError
from serving import config
from serving.client import SegmentationClient

PLAIN, LABEL, NUMBER = "without a version", "by label", "by number"
_WATCH_S = 0.002


@dataclass(frozen=True)
class Answer:
    """One request that was answered, or not.

    Args:
        sent: When, by the monotonic clock.
        came: When the answer was there.
        asked: `PLAIN`, `LABEL` or `NUMBER`.
        number: What was asked by number.
        version: What the answer names; None: it failed.
        foreground: Pixels of the answer's mask.
        says: What failed.
    """

    sent: float
    came: float
    asked: str
    number: int | None
    version: int | None
    foreground: int
    says: str = ""


@dataclass(frozen=True)
class Span:
    """From when on which versions may be the champion: two of them while it changes."""

    since: float
    champions: frozenset[int]


class Load:
    """Clients at work, and a look-out for what is the champion.

    Attributes:
        answers: Of all clients.
        spans: What was the champion when, oldest first.
    """

    def __init__(self, bench: Bench, pause_s: float = 0.0) -> None:
        self.answers: list[Answer] = []
        self.spans: list[Span] = []
        self._bench, self._pause_s, self._stop = bench, pause_s, threading.Event()

    @contextlib.contextmanager
    def at_work(self, clients: int) -> Iterator[None]:
        """Asks for the time of the block."""
        watching = threading.Thread(target=self._watch)
        watching.start()
        while not self.spans:
            time.sleep(_WATCH_S)
        asking = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in asking:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in (watching, *asking):
                thread.join()

    def _ask(self) -> None:
        path = self._bench.workspace.models_config
        with SegmentationClient(self._bench.target, RECIPE) as client:
            while not self._stop.is_set():
                for asked in (PLAIN, LABEL, NUMBER):
                    number = config.champion(path, RECIPE) if asked == NUMBER else None
                    label = config.STABLE if asked == LABEL else None
                    sent = time.monotonic()
                    try:
                        got = client.segment(PROBE, version=number, label=label)
                        version, foreground, says = got.version, int(got.mask.sum()), ""
                    except SegtrailError as e:
                        version, foreground, says = None, 0, str(e)
                    answer = Answer(
                        sent, time.monotonic(), asked, number, version, foreground, says
                    )
                    self.answers.append(answer)
                    time.sleep(self._pause_s)

    def _watch(self) -> None:
        """A change begins when the file names two versions, and ends with the ledger's `done`."""
        path, book = self._bench.workspace.models_config, self._bench.workspace.ledger(RECIPE)
        before, changing, seen = time.monotonic(), frozenset[int](), (b"", b"")
        while not self._stop.is_set():
            now = time.monotonic()
            if (found := (path.read_bytes(), book.read_bytes())) == seen:
                before = now
                time.sleep(_WATCH_S)
                continue
            seen = found
            named = config.read(path)[RECIPE].versions
            entries = ledger.read(book)
            current, intent = ledger.champion(entries), ledger.open_intent(entries)
            assert current is not None
            assert current.version is not None
            if intent is None:
                changing = frozenset()
            elif len(named) > 1 or changing:
                changing |= {current.version, *named}
            champions = changing or frozenset([current.version])
            if not self.spans or champions != self.spans[-1].champions:
                self.spans.append(Span(before if changing else now, champions))
            before = now
            time.sleep(_WATCH_S)


def findings(load: Load, thresholds: dict[int, int]) -> dict[str, list[str]]:
    """Returns what must not be, by kind; each list is empty when all is well.

    Args:
        load: What was asked and answered.
        thresholds: `{version: threshold}`: what each version answers.
    """
    found: dict[str, list[str]] = {
        "failed": [], "mixed versions": [], "not the champion": [], "went back": [],
    }  # fmt: skip
    for a in load.answers:
        who = f"{a.asked}, after {a.sent - load.spans[0].since:.3f} s"
        if a.version is None:
            found["failed"].append(f"{who}: {a.says}")
        elif a.foreground != 255 - thresholds.get(a.version, -1):
            found["mixed versions"].append(f"{who}: v{a.version} with {a.foreground} pixels")
        elif a.asked == NUMBER and a.version != a.number:
            found["mixed versions"].append(f"{who}: v{a.version} for v{a.number}")
        elif a.asked != NUMBER and a.version not in champions_of(load.spans, a.sent, a.came):
            found["not the champion"].append(f"{who}: v{a.version}")
    for asked in (PLAIN, LABEL):
        found["went back"] += went_back([a for a in load.answers if a.asked == asked], load.spans)
    return found


def champions_of(spans: list[Span], sent: float, came: float) -> set[int]:
    """Returns the versions that were the champion at some moment between two."""
    ends = [*(span.since for span in spans[1:]), float("inf")]
    pairs = zip(spans, ends, strict=True)
    return {v for span, end in pairs if span.since <= came and end >= sent for v in span.champions}


def went_back(answers: list[Answer], spans: list[Span]) -> list[str]:
    """Returns where the old version answered what was sent after the new one had answered."""
    found = []
    for number, span in enumerate(spans):
        if len(span.champions) == 1 or number == 0 or number + 1 == len(spans):
            continue
        (old,), (new,) = spans[number - 1].champions, spans[number + 1].champions
        end = spans[number + 2].since if number + 2 < len(spans) else float("inf")
        sent = [a for a in answers if span.since <= a.sent < end]
        first = min((a.came for a in sent if a.version == new), default=float("inf"))
        found += [
            f"{a.asked}: v{old} {a.sent - first:.3f} s after v{new} had answered"
            for a in sent
            if a.version == old != new and a.sent > first
        ]
    return found


def counts(load: Load) -> Counter[str]:
    """Returns how many were answered of each kind."""
    return Counter(a.asked for a in load.answers if a.version is not None)
