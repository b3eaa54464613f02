"""The Prefect server that deployments are registered with, and runs are asked of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows.environment import platform_server
from segtrail.errors import ConfigError
from segtrail.workspace import Workspace


@contextmanager
def required(workspace: Workspace) -> Iterator[str]:
    """Has Prefect's clients ask a server that keeps running, for the time of the block.

    Yields:
        The address of its API: the one that is named, or else that of `segtrail up`.

    Raises:
        ConfigError: Neither is there.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if not (url := PREFECT_API_URL.value() or platform_server(workspace)):
        raise ConfigError(
            "no Prefect server: what runs by itself needs one that keeps running",
            "segtrail up   (or: prefect server start --background; "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api)",
        )
    with temporary_settings({PREFECT_API_URL: url}):
        yield str(url)
