"""The model server at a recipe's target, if one of ours listens there."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segtrail.errors import ServingError
from segtrail.params import load_params_for
from segtrail.settings.serving import Serving
from segtrail.workspace import Workspace
from serving.failures import GoneError, LoadError, SilentError, TlsError

if TYPE_CHECKING:
    from serving.client import SegmentationClient
    from serving.endpoint import Endpoint

CONFIRM_WITHIN_S = 120.0
FIRST_WITHIN_S = 10.0  # in which a server that polls the configuration hears of a new model
STALE_S = 5.0  # in which it still says that a version did not load when it was tried before
GONE_S = 30.0  # in which a server that answered before may refuse connections
_PROBE_S = 10.0
_LOOK_S = 1.0
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
            ServingError: It failed to load, the server is gone, or time is up.
        """
        began, alive = time.monotonic(), self._alive()
        while True:
            try:
                left = began + within - time.monotonic()
                self.client.wait_until_available(model, version, left, alive)
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
            ServingError: The server is gone, or time is up.
        """
        alive = self._alive()
        end, asked = time.monotonic() + within, f"the label {label!r}" if label else "no version"
        while (found := self.answers(model, label)) != version:
            alive()
            if time.monotonic() >= end:
                raise ServingError(
                    f"{self.target}: requests to {model} with {asked} are answered by "
                    f"{f'v{found}' if found else 'nobody'} after {within:g} s; expected v{version}",
                    "see the server's log; it takes a new models.config within seconds",
                )
            time.sleep(_POLL_S)

    def _alive(self) -> Callable[[], None]:
        """Returns what to call between two looks: it raises once the server is gone.

        Raises:
            GoneError: It has refused every connection for `GONE_S`.
        """
        looked, refused_since = 0.0, None

        def alive() -> None:
            nonlocal looked, refused_since
            if (now := time.monotonic()) - looked < _LOOK_S:
                return
            looked = now
            if not _refuses(self.target):
                refused_since = None
                return
            refused_since = refused_since or now
            if now - refused_since >= GONE_S:
                raise GoneError(
                    f"{self.target}: the server answered in the beginning, and then refused "
                    f"every connection for {GONE_S:g} s",
                    "segtrail serve   (or start the server otherwise), and try again",
                )

        return alive

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
        ConfigError: It cannot be read, and says nothing of what is there; an error of another
            recipe is left to others.
    """
    found = load_params_for(workspace.params, recipe)[0].recipes.get(recipe)
    return None if found is None else found.serving


def is_listening(target: str) -> bool:
    """Whether somebody accepts a connection at `host:port`."""
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _refuses(target: str) -> bool:
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def _why_not_ours(client: SegmentationClient, recipe: str, patience: float) -> str | None:
    end = time.monotonic() + patience
    while True:
        try:
            client.statuses(recipe)
        except (SilentError, TlsError) as e:
            raise ServingError(
                f"{e.message}: it listens, but does not say what it serves",
                f"mend recipes.{recipe}.serving.tls of params.yaml, and try again"
                if isinstance(e, TlsError)
                else "see its log, or stop it, and try again",
            ) from None
        except ServingError as e:
            if time.monotonic() >= end:
                return e.message
        else:
            return None
        time.sleep(_POLL_S)
