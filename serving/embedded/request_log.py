"""Keeps a sample of the images that a server was asked about, for `segtrail monitor`.

Of this server only: TF Serving's request logging needs a collector that its open source lacks.
"""

from __future__ import annotations

import hashlib
import queue
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from segtrail.image_files import BMP, JPEG, PNG
from serving.embedded.call import Call

INPUT = "image_bytes"
_WAITING = 64  # images that wait for the disk; more are left out, so that no request waits
_LOOK_EVERY = 20  # images, between two looks at what is too much or too old
_MIB = 2**20
_DAY_S = 86400.0


class RequestLog:
    """Writes images to `<folder>/<model>/<UTC time>-<digest>` in a thread of its own.

    Args:
        folder: Made if it is not there.
        share: Which part of the images is kept, 0 to 1, drawn by chance.
        mib: How much is kept at most of all models together; the oldest go first.
        days: How long an image is kept at most.
        log: Told once of what could not be written.
    """

    def __init__(
        self, folder: Path, share: float, mib: int, days: float, log: Callable[[str], None]
    ) -> None:
        self._folder, self._share, self._most, self._days = folder, share, mib * _MIB, days
        self._log, self._failed = log, False
        self._written = 0
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue(_WAITING)
        self._draw = random.Random()
        folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
        self._thread.start()

    def add(self, model: str, call: Call) -> None:
        """Keeps a call's images, or leaves them out; returns at once."""
        images = call.inputs.get(INPUT, np.empty(0))
        for image in images.ravel():
            if self._draw.random() < self._share:
                with suppress(queue.Full):
                    self._waiting.put_nowait((model, bytes(image)))

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                self._keep(*item)
                self._failed = False
            except OSError as e:
                if not self._failed:
                    self._log(f"--request_log: {e}")
                self._failed = True

    def _keep(self, model: str, image: bytes) -> None:
        if len(image) > self._most:
            return
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"{stamp}-{hashlib.sha256(image).hexdigest()[:16]}{_suffix(image)}"
        path = self._folder / model / name
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name(f".{path.name}")
        aside.write_bytes(image)
        aside.rename(path)
        if self._written % _LOOK_EVERY == 0:
            self._forget()
        self._written += 1

    def _forget(self) -> None:
        oldest_first = sorted(p for p in self._folder.glob("*/[!.]*") if p.is_file())
        oldest_first.sort(key=lambda p: p.name)
        sizes = {path: path.stat().st_size for path in oldest_first}
        total, horizon = sum(sizes.values()), time.time() - self._days * _DAY_S
        for path in oldest_first:
            if total <= self._most and path.stat().st_mtime >= horizon:
                break
            path.unlink()
            total -= sizes[path]


def _suffix(image: bytes) -> str:
    kinds = {PNG: ".png", JPEG: ".jpg", BMP: ".bmp"}
    return next((kind for start, kind in kinds.items() if image.startswith(start)), ".bin")
