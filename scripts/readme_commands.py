"""Runs the commands of README.md and of docs/ in fresh clones, so that what they say works.

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
CLONES = (  # pages that go on where the one before ended share a clone
    ["README.md"],
    ["docs/quick-start.md"],
    ["docs/tutorials/mlops.md", "docs/tutorials/auditor.md"],
)
FENCE = re.compile(r"(?:<!-- (?P<mark>[a-z ]+) -->\n)?```bash\n(?P<commands>.*?)```", re.DOTALL)


def blocks(text: str, wanted: str) -> list[str]:
    """Returns the command blocks marked as `wanted`; unmarked ones are `quick`."""
    return [m["commands"] for m in FENCE.finditer(text) if (m["mark"] or "quick") == wanted]


def main(wanted: str) -> None:
    """Runs the blocks of all pages, and stops at a failure."""
    for pages in CLONES:
        with tempfile.TemporaryDirectory(prefix="segtrail-readme-") as temporary:
            clone = Path(temporary) / "segtrail"
            for page in pages:
                if found := blocks((ROOT / page).read_text(encoding="utf-8"), wanted):
                    _run(page, found, _cloned(clone))


def _cloned(clone: Path) -> Path:
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        for key in ("name", "email"):  # for the commits that a page makes
            subprocess.run(["git", "config", f"user.{key}", "ada@localhost"], cwd=clone, check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        if (shared := ROOT.parent / "shared").is_dir():
            (clone.parent / "shared").symlink_to(shared)
    return clone


def _run(page: str, found: list[str], clone: Path) -> None:
    """Runs each block with `bash -euo pipefail`."""
    path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone)}
    for number, commands in enumerate(found, 1):
        print(f"{page}, block {number}:\n{commands}", flush=True)
        started = time.monotonic()
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=clone, env=environment, check=True
        )
        print(f"({time.monotonic() - started:.0f} s)\n", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] not in (["quick"], ["slow"]):
        sys.exit(__doc__)
    main(sys.argv[1])
