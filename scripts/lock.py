"""Resolves pyproject.toml into requirements.lock and requirements-dev.lock, with hashes.

    python scripts/lock.py        (needs uv: pip install uv)

One lock for Python 3.11 to 3.13; no addresses, so that any index can serve it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

COMMON = [
    "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes",
    "--no-emit-index-url", "--no-annotate", "--no-header", "pyproject.toml",
]  # fmt: skip


def main() -> None:
    """Writes both files."""
    uv = shutil.which("uv") or sys.exit("uv is needed to resolve: pip install uv")
    platform = ["--extra", "platform", "-o", "requirements.lock"]
    dev = ["--extra", "platform", "--extra", "dev", "-c", "requirements.lock"]
    for extra in (platform, [*dev, "-o", "requirements-dev.lock"]):
        subprocess.run([uv, *COMMON, *extra], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
