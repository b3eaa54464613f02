"""Which names files of a delivery may have: of any script, but none that deceives.

See Unicode Technical Report 36, "Unicode Security Considerations".
"""

from __future__ import annotations

import unicodedata

from components.ingestion.problems import Problems

# Persian and the scripts of India need them; elsewhere they are not seen.
_JOINERS = "\u200c\u200d"
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def is_utf8(name: str) -> bool:
    """Returns whether a name has no stand-ins for bytes that are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_characters(name: str, problems: Problems) -> bool:
    """Returns whether a name shows what it is; notes it if not."""
    if name.isascii() and name.isprintable():
        return True
    if not is_utf8(name):
        problems.add(name, "its name is not UTF-8", "rename it")
        return False
    hidden = [c for c in name if unicodedata.category(c) in _HIDDEN and c not in _JOINERS]
    if hidden:
        problems.add(
            ascii(name),
            f"its name has control characters or invisible ones (U+{ord(hidden[0]):04X})",
            "rename it",
        )
    return not hidden


def check_stays_inside(name: str, parts: tuple[str, ...], problems: Problems) -> bool:
    """Returns whether a member's name is a relative path on any system; notes it if not."""
    if parts and not (
        name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or ":" in parts[0]
    ):
        return True
    problems.add(
        repr(name), "unsafe name: expected a relative path without `..`, backslash or drive"
    )
    return False


class Lookalikes:
    """Notes names that look the same: composed and decomposed letters, unseen joiners."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._seen: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Takes one more name."""
        if name.isascii():
            return  # like no other but itself
        key = unicodedata.normalize("NFC", "".join(c for c in name if c not in _JOINERS))
        other = self._seen.setdefault(key, name)
        if other != name:
            self._problems.add(
                name,
                f"its name, {name!a}, looks the same as {other!a}: only the way in which their "
                "letters are put together differs",
                "rename one",
            )
