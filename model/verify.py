"""Loads a SavedModel in a session and asks it one image: run in a fresh process after training.

    python -m model.verify SAVED_MODEL IMAGE

A model that loads where it was made may still not load where it is served.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from segtrail.errors import StageError

OUTPUTS = {"mask_png", "probability_png", "height", "width"}
OBJECTS = {"labels_png", "count"}  # both or neither


def verify_in_fresh_process(saved_model: Path, sample: bytes) -> None:
    """Raises StageError unless a new process can load the model and get a whole answer."""
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".image") as image:
        image.write(sample)
        image.flush()
        done = subprocess.run(
            [sys.executable, "-m", "model.verify", str(saved_model), image.name],
            cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise StageError(
            f"{saved_model}: does not work in the session loader, which TF Serving uses:\n"
            + done.stderr.strip()[-2000:]
        )


def main(saved_model: str, image: str) -> None:
    """Prints the size, and if there are objects their count, of one answer as JSON."""
    from segtrail.session import SessionModel

    model = SessionModel(Path(saved_model))
    answer = model.run("serving_default", {"image_bytes": [Path(image).read_bytes()]})
    if set(answer) not in (OUTPUTS, OUTPUTS | OBJECTS):
        raise SystemExit(
            f"outputs: expected {sorted(OUTPUTS)}, or these and {sorted(OBJECTS)}; "
            f"found {sorted(answer)}"
        )
    numbers = [key for key in ("height", "width", "count") if key in answer]
    print(json.dumps({key: int(answer[key][0]) for key in numbers}))


if __name__ == "__main__":
    from segtrail import telemetry

    telemetry.switch_off()
    main(*sys.argv[1:])
