"""Collects what is wrong with a delivery, so that all of it can be mended in one go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from segtrail.errors import DataError

SHOWN = 20


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        where: The file.
        what: What was expected and what was found.
        remedy: What to do about it.
        image: The id of the image that cannot land because of it; empty when it is not about
            one image, so that nothing of the delivery can.
    """

    where: str
    what: str
    remedy: str = ""
    image: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.remedy})" if self.remedy else "")


class Problems:
    """A list of problems with one source. `add` may be called from several threads.

    Args:
        source: What to call the delivery in the message.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found))

    def add(self, where: str, what: str, remedy: str = "", image: str = "") -> None:
        """Notes one problem; for the arguments see `Problem`."""
        if not where.isprintable():  # a name may hold control characters or broken Unicode
            where = ascii(where)
        self._found.append(Problem(where, what, remedy, image))

    def raise_if_any(self) -> None:
        """Raises:
        DataError: There are problems; names the first twenty and counts the rest.
        """
        if not self._found:
            return
        count = len(self._found)
        lines = [f"  - {problem}" for _, problem in zip(range(SHOWN), self, strict=False)]
        if count > SHOWN:
            lines.append(f"  … and {count - SHOWN} more")
        noun = "problem" if count == 1 else "problems"
        raise DataError(
            f"{self.source}: {count} {noun}; nothing was ingested:\n" + "\n".join(lines),
            "mend or take out what is named, then deliver again",
        )
