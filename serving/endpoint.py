"""Where a recipe's champion is asked for, and how that server is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from segtrail.errors import ServingError
from segtrail.settings.serving import Serving
from serving.client import SegmentationClient
from serving.tls import Tls


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

    def client(self, timeout: float = 60.0) -> SegmentationClient:
        """Returns a client of it; see `SegmentationClient`."""
        return SegmentationClient(self.target, timeout=timeout, tls=self.tls)
