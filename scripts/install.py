"""Makes a virtual environment and installs a lock file and the project into it.

    python scripts/install.py VENV LOCK

Uses uv when it is on PATH, else pip. Byte-compiled: importing TensorFlow takes 7 s with
bytecode and 25 s without. May be run again after it was interrupted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)


def main(venv: str, lock: str) -> None:
    """Installs; ends with the installer's own words when it fails."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"segtrail needs Python 3.11 to 3.13; {sys.executable} is {found}.\n"
            "  -> make demo PYTHON=python3.11"
        )
    python = Path(venv) / "bin" / "python"
    uv = shutil.which("uv")
    if not python.exists() or subprocess.run([python, "-c", ""], check=False).returncode:
        make = [uv, "venv", "--clear", "--python", sys.executable, venv] if uv else [
            sys.executable, "-m", "venv", "--clear", venv,
        ]  # fmt: skip
        if subprocess.run(make, check=False).returncode:
            sys.exit("no virtual environment; on Debian and Ubuntu: apt install python3-venv")
    print(f"installing {lock} into {venv} with {'uv' if uv else 'pip'} (some minutes) ...")
    environment = os.environ | {"UV_COMPILE_BYTECODE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    pip = [uv, "pip", "install", "--python", str(python)] if uv else [
        str(python), "-m", "pip", "install", "--disable-pip-version-check", "--compile",
        "--no-warn-script-location",
    ]  # fmt: skip
    # The lock is whole, so nothing is resolved: older pips trip over extras of locked packages.
    for what in (["--require-hashes", "-r", lock], ["--editable", "."]):
        command = [*pip, "--quiet", "--no-deps", *what]
        done = subprocess.run(command, check=False, env=environment)
        if done.returncode:
            sys.exit(f"installation stopped (exit {done.returncode}); run the command again")


if __name__ == "__main__":
    main(*sys.argv[1:])
