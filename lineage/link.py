"""One link of the chain that an audit walks, and what a whole chain comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from segtrail.errors import (
    EXIT_AUDIT_BROKEN,
    EXIT_AUDIT_INCOMPLETE,
    EXIT_OK,
    SegtrailError,
    UnreachableError,
)

State = Literal["held", "broken", "not checked", "warning"]
HELD: Final = "held"
BROKEN: Final = "broken"
NOT_CHECKED: Final = "not checked"
WARNING: Final = "warning"


@dataclass(frozen=True)
class Link:
    """What was found.

    Attributes:
        name: Which link.
        state: `held`, `broken`, `not checked`, or `warning`: something worth knowing that
            proves nothing either way, such as a working tree that differs.
        says: What was compared, and what differs.
    """

    name: str
    state: State
    says: str


class NotChecked(Exception):
    """A link could not be looked at; the reason is its message."""


class Warn(Exception):
    """A link has a warning; it is its message."""


def look(name: str, check: Callable[[], str]) -> Link:
    """Runs one check, which returns what held, or raises; never raises itself.

    A check raises `NotChecked`, `Warn`, or any other exception for a broken link: a file that
    cannot be read or understood proves nothing, whatever the exception is called.
    """
    try:
        return Link(name, HELD, check())
    except NotChecked as e:
        return Link(name, NOT_CHECKED, str(e))
    except Warn as e:
        return Link(name, WARNING, str(e))
    except UnreachableError as e:
        return Link(name, NOT_CHECKED, e.message)
    except SegtrailError as e:
        return Link(name, BROKEN, e.message)
    except Exception as e:
        return Link(name, BROKEN, f"{type(e).__name__}: {e}")


def exit_code(links: Iterable[Link]) -> int:
    """Returns 0 when every link held, 5 when one is broken, else 6 when one was not checked."""
    states = {link.state for link in links}
    if BROKEN in states:
        return EXIT_AUDIT_BROKEN
    return EXIT_AUDIT_INCOMPLETE if NOT_CHECKED in states else EXIT_OK
