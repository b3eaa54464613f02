"""A part of the certificate: facts, or why there are none, and the links that vouch for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lineage.audited import Audit
from lineage.evidence import Evidence
from lineage.link import Link
from segtrail.errors import SegtrailError


@dataclass(frozen=True)
class Part:
    """What a section of the page tells.

    Attributes:
        links: The links that say whether it is so, with their numbers in the table.
        facts: What it tells; None where it cannot be told.
        why: Why not.
    """

    links: Sequence[tuple[int, Link]]
    facts: Any = None
    why: str = ""


def gather(audit: Audit, names: Sequence[str], read: Callable[[Evidence], Any]) -> Part:
    """Returns a part; what cannot be read or understood is told as such, and never raised.

    Args:
        audit: The audit.
        names: The links that say whether what is told is so.
        read: Reads the facts.
    """
    links = [item for item in enumerate(audit, 1) if item[1].name in names]
    if audit.evidence is None:
        return Part(links, why="no version is known to serve")
    try:
        return Part(links, read(audit.evidence))
    except SegtrailError as e:
        return Part(links, why=e.message)
    except Exception as e:  # as for a link: what cannot be understood, whatever it is called
        return Part(links, why=f"{type(e).__name__}: {e}")
