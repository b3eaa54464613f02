"""The identity of the code that runs."""

from __future__ import annotations

from pathlib import Path

from segtrail.files import root_digest, sha256_file

PACKAGES = ("segtrail", "model", "serving", "lineage", "components", "flows", "cli")
ROOT = Path(__file__).resolve().parents[1]


def code_digest() -> str:
    """Returns one SHA-256 over the Python files of segtrail that this process imports."""
    return digest_of(
        {
            path.relative_to(ROOT).as_posix(): sha256_file(path)
            for package in PACKAGES
            for path in (ROOT / package).rglob("*.py")
        }
    )


def digest_of(files: dict[str, str]) -> str:
    """Returns the same over `{relative path: hex SHA-256}` of files for which `is_code`."""
    return root_digest(files)


def is_code(path: str) -> bool:
    """Whether a path of the repository is one of segtrail's Python files."""
    return path.endswith(".py") and path.split("/", 1)[0] in PACKAGES
