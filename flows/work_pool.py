"""The work pool of a deployment: a process pool is made; others must be there."""

from __future__ import annotations

from segtrail.errors import ConfigError
from segtrail.progress import say

PROCESS = "process"


def ensure(name: str) -> str:
    """Makes the process pool of that name if there is none; returns the pool's type.

    Raises:
        ConfigError: There is one, of a type that does not see this machine's files.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            pool = client.read_work_pool(name)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=name, type=PROCESS))
            say(f"made the process work pool {name!r}")
            return PROCESS
    if pool.type not in (PROCESS, "docker", "kubernetes"):
        raise ConfigError(
            f"--work-pool {name}: is of type {pool.type!r}; expected process, docker or "
            "kubernetes: see docs/operations.md"
        )
    return pool.type
