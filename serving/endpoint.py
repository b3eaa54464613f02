"""Where a recipe's champion is asked for, and how that server is trusted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segtrail.errors import ServingError
from segtrail.settings.serving import Serving
from serving.client import SegmentationClient
from serving.tls import Tls

_SCHEME = re.compile(r"(?:dns|ipv4|ipv6):/{0,3}", re.I)
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


class Endpoint(NamedTuple):
    """A model server as clients reach it.

    Attributes:
        target: `host:port` of its gRPC port.
        tls: How to trust it; None: in clear.
    """

    target: str
    tls: Tls | None = None

    @classmethod
    def of(cls, settings: Serving, recipe: str, home: Path) -> Endpoint:
        """Returns that of a recipe.

        Args:
            settings: Its `serving`.
            recipe: Its name, for messages.
            home: The workspace's, from which relative paths count: a worker's own clone of
                its code has no keys.

        Raises:
            ServingError: A PEM file cannot be read, or is not what it should be.
        """
        if (tls := settings.tls) is None:
            return cls(settings.target)
        paths = {
            name: None if (given := getattr(tls, name)) is None else home / given
            for name in ("ca", "key", "certificate")
        }
        try:
            return cls(settings.target, Tls.of_files(**paths, name=tls.name))
        except ServingError as e:
            where = f"params.yaml: recipes.{recipe}.serving.tls"
            raise ServingError(f"{where}: {e.message}", e.hint) from None

    @classmethod
    def at(cls, target: str, settings: Serving, recipe: str, home: Path) -> Endpoint:
        """Returns the server at `target`, trusted as the recipe's is if it is that one.

        The target is that of the recipe however it is spelled; the certificate then names what
        the recipe names.

        Args:
            target: `host:port`, or any gRPC target.
            settings: See `of`, as for all that follow.
            recipe: The recipe's name.
            home: Of the workspace.

        Raises:
            ServingError: See `of`.
        """
        if _address(target) != _address(settings.target):
            return cls(target)
        tls = cls.of(settings, recipe, home).tls
        if tls is not None and tls.name is None and target != settings.target:
            tls = replace(tls, name=settings.target.rpartition(":")[0])
        return cls(target, tls)

    def client(self, timeout: float | None = None) -> SegmentationClient:
        """Returns a client of it; see `SegmentationClient`."""
        return SegmentationClient(self.target, timeout=timeout, tls=self.tls)


def _address(target: str) -> tuple[str, str]:
    """Returns a host and its port, the same for all the names of this machine to itself."""
    host, _, port = _SCHEME.sub("", target, count=1).lower().rpartition(":")
    host = host.removesuffix(".")
    return (_THIS_MACHINE[0] if host in _THIS_MACHINE else host), port.lstrip("0")
