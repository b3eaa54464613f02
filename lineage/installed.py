"""The environment that runs here, against a lock file that pip or uv wrote."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement


def differences(lock: str) -> list[str]:
    """Returns a line for each locked distribution that is installed otherwise, or not at all.

    Names are compared as Python's index does (`Typing_Extensions` is `typing-extensions`), and
    lines whose environment marker is not of this interpreter do not count.

    Args:
        lock: The content of `requirements.lock`.
    """
    found = []
    for line in lock.replace("\\\n", " ").splitlines():
        said = line.split("#", 1)[0].split(" --hash", 1)[0].strip()
        if not said or said.startswith("-"):
            continue
        try:
            locked = Requirement(said)
        except InvalidRequirement:
            found.append(f"{said} is no requirement that can be read")
            continue
        if locked.marker is not None and not locked.marker.evaluate():
            continue
        try:
            version = metadata.version(locked.name)
        except metadata.PackageNotFoundError:
            found.append(f"{locked.name} is not installed (locked {locked.specifier})")
            continue
        if not locked.specifier.contains(version, prereleases=True):
            found.append(f"{locked.name} is {version} (locked {locked.specifier})")
    return found
