"""What large images cost a SavedModel: time, memory, and what finding the objects takes of it.

    python benchmarks/large_images.py SAVED_MODEL IMAGE [--sides 256 1000 2000 4000 10000]

An image is made of each size by mirroring the given one. A fresh process each time loads the
model in a session, as TF Serving does, answers `serving_default`, and tells its peak memory, and
what share of its CPU time `labels_png` and `count` add: finding the objects.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

ONCE = 4000  # pixels a side above which an image is asked for only once
SIDES = [256, 1000, 2000, 4000, 10_000]
WITHOUT_OBJECTS = ["mask_png", "probability_png", "height", "width"]


def mosaic(image: np.ndarray, side: int) -> np.ndarray:
    """Returns `[side, side, ...]` of an image and its mirror images."""
    rows, columns = (np.arange(side) % (2 * n) for n in image.shape[:2])
    down, across = (
        np.minimum(place, 2 * n - 1 - place)
        for place, n in zip((rows, columns), image.shape[:2], strict=True)
    )
    return np.ascontiguousarray(image[np.ix_(down, across)])


def peak_mb() -> float:
    """Returns the highest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def ask(model_folder: Path, image: Path, side: int) -> dict[str, float | None]:
    """Answers one image in this process."""
    from segtrail.session import SessionModel

    model = SessionModel(model_folder)
    small = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
    data = {"image_bytes": [cv2.imencode(".png", mosaic(small, side))[1].tobytes()]}
    first = {"image_bytes": [cv2.imencode(".png", small)[1].tobytes()]}
    outputs = list(model.signatures["serving_default"].outputs)
    few = [name for name in outputs if name in WITHOUT_OBJECTS]
    for names in (outputs, few):
        model.run("serving_default", first, names)  # the first call is slow
    loaded = peak_mb()
    seconds, shares = [], []
    for _ in range(15 if side <= 1000 else 1):
        cpu = []
        for names in (outputs, few):
            before, started = time.process_time(), time.perf_counter()
            answer = model.run("serving_default", data, names)
            cpu.append(time.process_time() - before)
            if names is outputs:
                seconds.append(time.perf_counter() - started)
                peak, count = peak_mb(), int(answer["count"][0]) if "count" in answer else 0
            if side > ONCE:
                cpu.append(cpu[0])
                break
        shares.append(1 - cpu[1] / cpu[0])
    return {
        "seconds": float(np.median(seconds)),
        "objects": float(np.median(shares)) if side <= ONCE else None,
        "memory": peak - loaded,
        "count": count,
    }


def main() -> None:
    """Asks for each size and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saved_model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_this_process:
        print(json.dumps(ask(given.saved_model, given.image, given.sides[0])))
        return
    print(" side    seconds  us/pixel  finding objects  memory MB  bytes/pixel   objects")
    for side in given.sides:
        command = [sys.executable, __file__, str(given.saved_model), str(given.image)]
        command += ["--in-this-process", "--sides", str(side)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        share = "not measured" if found["objects"] is None else f"{found['objects']:.0%}"
        print(
            f"{side:5d}  {found['seconds']:9.3f}  {found['seconds'] / side**2 * 1e6:8.2f}"
            f"  {share:>15}  {found['memory']:9.0f}"
            f"  {found['memory'] * 1e6 / side**2:11.1f}  {found['count']:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
