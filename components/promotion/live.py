"""The model server at a recipe's target, if one of ours listens there."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segtrail.errors import ServingError
from segtrail.params import load_params
from segtrail.settings.serving import Serving
from segtrail.workspace import Workspace
from serving.failures import LoadError, SilentError, TlsError

if TYPE_CHECKING:
    from serving.client import SegmentationClient
    from serving.endpoint import Endpoint

CONFIRM_WITHIN_S = 120.0
FIRST_WITHIN_S = 10.0  # in which a server that polls the configuration hears of a new model
STALE_S = 5.0  # in which it still says that a version did not load when it was tried before
_PROBE_S = 10.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Live:
    """A server that answers for a recipe, and is asked what it serves.

    Args:
        target: `host:port`.
        client: An open client of it.
    """

    target: str
    client: SegmentationClient

    def wait_loaded(self, model: str, version: int, within: float) -> None:
        """Waits until a version is available.

        Raises:
            ServingError: It failed to load, or time is up.
        """
        began = time.monotonic()
        while True:
            try:
                left = began + within - time.monotonic()
                self.client.wait_until_available(model, version, left)
                return
            except LoadError:
                if time.monotonic() - began >= min(STALE_S, within):
                    raise
            time.sleep(_POLL_S)

    def wait_answers(
        self, model: str, version: int, *, label: str | None = None, within: float
    ) -> None:
        """Waits until requests without a version, or with a label, are answered by a version.

        Raises:
            ServingError: Time is up.
        """
        end, asked = time.monotonic() + within, f"the label {label!r}" if label else "no version"
        while (found := self.answers(model, label)) != version:
            if time.monotonic() >= end:
                raise ServingError(
                    f"{self.target}: requests to {model} with {asked} are answered by "
                    f"{f'v{found}' if found else 'nobody'} after {within:g} s; expected v{version}",
                    "see the server's log; it takes a new models.config within seconds",
                )
            time.sleep(_POLL_S)

    def answers(self, model: str, label: str | None = None) -> int | None:
        """Returns the version that answers; None if there is none."""
        try:
            return self.client.served_version(model, label)
        except ServingError:
            return None


@contextlib.contextmanager
def server_of(workspace: Workspace, recipe: str, patience: float = 0) -> Iterator[Live | str]:
    """Yields the server at the recipe's target, or in words why nobody is asked there.

    Args:
        workspace: Whose `params.yaml` names the target.
        recipe: The recipe.
        patience: Seconds in which a server may hear of the recipe. One of ours that served it
            before knows it at once.

    Raises:
        ServingError: See `endpoint_of`; or a server listens there that speaks gRPC, or TLS, and
            gives no answer: it may be ours.
        ConfigError: `params.yaml` cannot be read.
    """
    if (endpoint := endpoint_of(workspace, recipe)) is None:
        yield f"params.yaml has no recipe {recipe}"
        return
    target = endpoint.target
    if not is_listening(target):
        yield f"nothing is listening at {target}"
        return
    with endpoint.client(_PROBE_S) as client:
        stranger = _why_not_ours(client, recipe, patience)
        if stranger is None:
            yield Live(target, client)
        else:
            yield f"another service listens there: {stranger}"


def endpoint_of(workspace: Workspace, recipe: str) -> Endpoint | None:
    """Returns where a recipe is served; None for one that `params.yaml` has no longer.

    Raises:
        ServingError: A file for TLS cannot be read, or is not what it should be.
    """
    from serving.endpoint import Endpoint

    settings = settings_of(workspace, recipe)
    return None if settings is None else Endpoint.of(settings, recipe, workspace.home)


def settings_of(workspace: Workspace, recipe: str) -> Serving | None:
    """Returns how a recipe is served; None for one that `params.yaml` has no longer.

    Raises:
        ConfigError: It cannot be read, and says nothing of what is there.
    """
    found = load_params(workspace.params).recipes.get(recipe)
    return None if found is None else found.serving


def is_listening(target: str) -> bool:
    """Whether somebody accepts a connection at `host:port`."""
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _why_not_ours(client: SegmentationClient, recipe: str, patience: float) -> str | None:
    end = time.monotonic() + patience
    while True:
        try:
            client.statuses(recipe)
        except (SilentError, TlsError) as e:
            raise ServingError(
                f"{e.message}: it listens, but does not say what it serves",
                e.hint if isinstance(e, TlsError) else "see its log, or stop it, and try again",
            ) from None
        except ServingError as e:
            if time.monotonic() >= end:
                return e.message
        else:
            return None
        time.sleep(_POLL_S)
