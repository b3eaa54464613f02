"""The identity of the code that runs."""

from __future__ import annotations

from pathlib import Path

from segtrail.files import root_digest, sha256_file

PACKAGES = ("segtrail", "model", "serving", "lineage", "components", "flows", "cli")
ROOT = Path(__file__).resolve().parents[1]


def code_digest() -> str:
    """Returns one SHA-256 over the Python files of segtrail that this process imports."""
    return root_digest(
        {
            path.relative_to(ROOT).as_posix(): sha256_file(path)
            for package in PACKAGES
            for path in (ROOT / package).rglob("*.py")
        }
    )
