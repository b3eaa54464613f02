"""Environment variables that hold secrets, and environments without them."""

from __future__ import annotations

from collections.abc import Mapping

KEY, PASSPHRASE = "SEGTRAIL_KEY", "SEGTRAIL_KEY_PASSPHRASE"  # what signs, and what opens it


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment for a process that signs nothing, such as a model server."""
    return {name: value for name, value in environment.items() if name not in (KEY, PASSPHRASE)}
