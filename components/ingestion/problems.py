"""Collects what is wrong with a delivery, so that all of it can be mended in one go."""

from __future__ import annotations

from segtrail.errors import DataError

SHOWN = 20


class Problems:
    """A list of problems with one source.

    Args:
        source: What to call the delivery in the message.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[str] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, where: str, what: str, remedy: str = "") -> None:
        """Notes one problem.

        Args:
            where: The file.
            what: What was expected and what was found.
            remedy: What to do about it.
        """
        if not where.isprintable():  # a name may hold control characters or broken Unicode
            where = ascii(where)
        self._found.append(f"{where}: {what}" + (f" ({remedy})" if remedy else ""))

    def raise_if_any(self) -> None:
        """Raises:
        DataError: There are problems; names the first twenty and counts the rest.
        """
        if not self._found:
            return
        count = len(self._found)
        lines = [f"  - {line}" for line in self._found[:SHOWN]]
        if count > SHOWN:
            lines.append(f"  … and {count - SHOWN} more")
        noun = "problem" if count == 1 else "problems"
        raise DataError(
            f"{self.source}: {count} {noun}; nothing was ingested:\n" + "\n".join(lines),
            "mend or take out what is named, then deliver again",
        )
