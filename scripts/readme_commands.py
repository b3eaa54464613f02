"""Runs the commands of README.md in a fresh clone, so that what it says works.

    python scripts/readme_commands.py quick|slow

A block of commands is a ```bash fence. A fence whose line before it is `<!-- slow -->` takes
long or needs ../shared/data; `<!-- not run -->` is for the reader alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"(?:<!-- (?P<mark>[a-z ]+) -->\n)?```bash\n(?P<commands>.*?)```", re.DOTALL)


def blocks(text: str, wanted: str) -> list[str]:
    """Returns the command blocks marked as `wanted`; unmarked ones are `quick`."""
    return [m["commands"] for m in FENCE.finditer(text) if (m["mark"] or "quick") == wanted]


def main(wanted: str) -> None:
    """Runs each block with `bash -euo pipefail`, all in one clone, and stops at a failure."""
    with tempfile.TemporaryDirectory(prefix="segtrail-readme-") as temporary:
        clone = Path(temporary) / "segtrail"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        if (shared := ROOT.parent / "shared").is_dir():
            (clone.parent / "shared").symlink_to(shared)
        path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone)}
        for number, commands in enumerate(blocks((ROOT / "README.md").read_text(), wanted), 1):
            print(f"README, {wanted} block {number}:\n{commands}", flush=True)
            started = time.monotonic()
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", commands], cwd=clone, env=environment, check=True
            )
            print(f"({time.monotonic() - started:.0f} s)\n", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] not in (["quick"], ["slow"]):
        sys.exit(__doc__)
    main(sys.argv[1])
