"""How far a run is, by what workers have written: Beam tells nothing while it runs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from components.batching.chunks import Place
from components.batching.output import Output
from segtrail.progress import say

EVERY_S = 10.0
_LOOKS = 7  # over which the rate is taken


@contextmanager
def watched(out: Output, run: int, places: Sequence[Place]) -> Iterator[None]:
    """Says in a line now and then how many images are done, how fast, and how long it takes."""
    over, images = threading.Event(), sum(place.images for place in places)
    looks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=_LOOKS)

    def watch() -> None:
        while not over.wait(EVERY_S):
            done = sum(places[part.number].images for part in out.parts() if part.run == run)
            looks.append((time.monotonic(), done))
            say(line(looks, images))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def line(looks: deque[tuple[float, int]], images: int) -> str:
    """Returns the line, of `(seconds, images done)` at each look."""
    (before, had), (now, done) = looks[0], looks[-1]
    rate = (done - had) / max(now - before, 1e-9)
    said = f"segmenting: {done:,} of {images:,} images"
    if not rate:
        return said
    left = (images - done) / rate
    time_left = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
    return f"{said}, {rate:.1f} a second, {time_left} left"
