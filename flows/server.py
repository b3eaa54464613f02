"""The Prefect server that deployments are registered with."""

from __future__ import annotations

from segtrail.errors import ConfigError


def require() -> str:
    """Returns the address of its API.

    Raises:
        ConfigError: None is named.
    """
    from prefect.settings import PREFECT_API_URL

    if not (url := PREFECT_API_URL.value()):
        raise ConfigError(
            "no Prefect server: what runs by itself needs one that keeps running",
            "prefect server start --background; export PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
    return str(url)
