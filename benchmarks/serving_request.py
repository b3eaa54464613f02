"""What a request of a SavedModel costs: all outputs, and without the objects, in the same run.

    python benchmarks/serving_request.py SAVED_MODEL IMAGE [IMAGE ...]

The share of finding objects is what `labels_png` and `count` add to the other outputs.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

RUNS = 7
PIXELS = ["mask_png", "probability_png", "height", "width"]


def main(saved_model: str, *images: str) -> None:
    """Prints medians over the images and runs."""
    from segtrail import telemetry

    telemetry.switch_off()
    from segtrail.session import SessionModel

    model = SessionModel(Path(saved_model))
    for image in images:
        request = {"image_bytes": [Path(image).read_bytes()]}

        def ask(outputs: list[str] | None, request: dict[str, list[bytes]] = request) -> float:
            started = time.perf_counter()
            model.run("serving_default", request, outputs)
            return time.perf_counter() - started

        ask(None), ask(PIXELS)
        pairs = [(ask(None), ask(PIXELS)) for _ in range(RUNS)]
        whole, pixels = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
        share = statistics.median(1 - b / a for a, b in pairs)
        size = model.run("serving_default", request, ["height", "width", "count"])
        print(
            f"{Path(image).name[:24]:24} {size['height'][0]}x{size['width'][0]}, "
            f"{size['count'][0]} objects: {whole:.0f} ms, without objects {pixels:.0f} ms; "
            f"objects are {share:.0%} of the request"
        )


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
