"""Environment variables that hold secrets, and environments and texts without them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

KEY, PASSPHRASE = "SEGTRAIL_KEY", "SEGTRAIL_KEY_PASSPHRASE"  # what signs, and what opens it
HIDDEN = "***"
_IN_ADDRESS = re.compile(r"(?<=://)\S+@")  # a password may have a slash, and an @, in it
# Of variables that have an address, the password in it is hidden, not the address.
_NAMES = re.compile(r"PASSPHRASE|PASSWORD|PASSWD|SECRET|TOKEN|_API_KEY|ACCESS_KEY|AUTH_STRING")
_SHORTEST = 6  # what is shorter is in every other word


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment for a process that signs nothing, such as a model server."""
    return {name: value for name, value in environment.items() if name not in (KEY, PASSPHRASE)}


def without_password(text: str) -> str:
    """Returns a text in which no address has a name and password."""
    return _IN_ADDRESS.sub(f"{HIDDEN}@", text)


def hidden(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns a text without passwords in addresses, and without the environment's secrets."""
    for name, value in environment.items():
        if _NAMES.search(name) and (len(value) >= _SHORTEST or name == PASSPHRASE) and value:
            text = text.replace(value, HIDDEN)
    return without_password(text)
