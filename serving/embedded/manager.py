"""Which versions are loaded: brings memory into agreement with configuration and disk.

A new version is loaded before the one it replaces is unloaded; one that cannot be loaded
replaces nothing; a version is unloaded when its last request has been answered. Labels come first,
as in TF Serving's `ServerCore::ReloadConfig`: a configuration with one that may not be put where
it should is not taken at all, for no model.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from serving.embedded.model_list import Wanted
from serving.embedded.refusal import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNAVAILABLE,
    UNKNOWN,
    Refusal,
)


class Closable(Protocol):
    """What a loader returns."""

    def close(self) -> None:
        """Frees the memory."""


M = TypeVar("M", bound=Closable)


class State(enum.IntEnum):
    """Numbers of `tensorflow.serving.ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass
class Version(Generic[M]):
    """One version that was ever wanted."""

    number: int
    path: Path
    state: State = State.START
    error: str = ""
    wanted: bool = True
    users: int = 0
    model: M | None = None


class Manager(Generic[M]):
    """Loads, hands out and unloads versions of models.

    Args:
        load: Makes a model from a version's folder; what it raises is that version's error.
        log: Takes one line of news.
        early_labels: Whether a new label may name a version that is not loaded; one that is in use
            moves to a loaded version alone, in either case.
    """

    def __init__(
        self,
        load: Callable[[Path], M],
        log: Callable[[str], None] = lambda line: None,
        early_labels: bool = False,
    ) -> None:
        self._load, self._log, self._early_labels = load, log, early_labels
        self._wanted: dict[str, Wanted] = {}
        self._versions: dict[str, dict[int, Version[M]]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._changed = threading.Condition()  # guards everything above
        self._reconciling = threading.Lock()
        self._said: set[str] = set()
        self.ready = False

    def reconcile(self, wanted: Sequence[Wanted] | None = None) -> list[Refusal]:
        """Loads and unloads until memory is what is wanted; returns what could not be done.

        Args:
            wanted: The new configuration; without it, the last one.
        """
        with self._reconciling:
            try:
                names = self._take(wanted)
                problems = [problem for name in names for problem in self._reconcile(name)]
            except Refusal as e:
                problems = [e]
            self._say(problems)
            self.ready = True
            return problems

    @contextlib.contextmanager
    def using(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[Version[M]]:
        """Yields a loaded version, which stays loaded inside the block.

        Args:
            name: The model's name.
            version: Its number; without it, the highest that is available.
            label: A version label instead of a number.

        Raises:
            Refusal: There is none; see TF Serving's status codes.
        """
        with self._changed:
            found = self._find(name, version, label)
            found.users += 1
        try:
            yield found
        finally:
            with self._changed:
                found.users -= 1
                self._changed.notify_all()

    def states(self, name: str) -> list[tuple[int, State, str]]:
        """Returns `(version, state, error)` of every version of a model ever wanted."""
        with self._changed:
            versions = self._versions.get(name, {})
            return [(n, versions[n].state, versions[n].error) for n in sorted(versions)]

    def version_of(self, name: str, label: str) -> int:
        """Returns the version that a label names.

        Raises:
            Refusal: UNAVAILABLE before the first configuration is in force;
                INVALID_ARGUMENT if there is no such label.
        """
        with self._changed:
            if label in (labels := self._labels.get(name, {})):
                return labels[label]
        if not self.ready:
            raise Refusal(
                UNAVAILABLE, "Request with version label was received before initialization"
            )
        raise Refusal(INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")

    def _find(self, name: str, version: int | None, label: str | None) -> Version[M]:
        if not name:
            raise Refusal(INVALID_ARGUMENT, "ModelSpec has no name specified.")
        if label is not None:
            version = self.version_of(name, label)
        available = {
            number: entry
            for number, entry in self._versions.get(name, {}).items()
            if entry.state == State.AVAILABLE
        }
        if version is None and available:
            return available[max(available)]
        if version in available:
            return available[version]
        what = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise Refusal(NOT_FOUND, f"Servable not found for request: {what}")

    def _take(self, wanted: Sequence[Wanted] | None) -> list[str]:
        """Makes a configuration the one that is wanted; returns the models that it concerns.

        Raises:
            Refusal: FAILED_PRECONDITION: a label is on a version that is not available.
        """
        with self._changed:
            if wanted is not None:
                self._labels = {model.name: self._labelled(model) for model in wanted}
                self._wanted = {model.name: model for model in wanted}
            return sorted(self._wanted.keys() | self._versions.keys())

    def _labelled(self, model: Wanted) -> dict[str, int]:
        entries, old = self._versions.get(model.name, {}), self._labels.get(model.name, {})
        for label, number in model.labels.items():
            entry = entries.get(number)
            new = old.get(label) in (None, number)
            there = entry is not None and entry.state == State.AVAILABLE
            if not (there or (self._early_labels and new)):
                raise Refusal(
                    FAILED_PRECONDITION,
                    f"Request to assign label to version {number} of model {model.name}, "
                    "which is not currently available for inference",
                )
        return dict(model.labels)

    def _reconcile(self, name: str) -> Iterator[Refusal]:
        model = self._wanted.get(name)
        try:
            aspired = model.on_disk() if model else {}
        except OSError as e:
            yield Refusal(INVALID_ARGUMENT, f"Could not find base path of servable {name}: {e}")
            return
        if model and not aspired:
            yield Refusal(
                NOT_FOUND, f"No versions of servable {name} found under base path {model.base_path}"
            )
            return
        self._aspire(name, aspired)
        self._unload_unwanted(name)
        while (entry := self._next_to_load(name)) is not None:
            self._load_one(name, entry)
            self._unload_unwanted(name)
        with self._changed:
            entries = self._versions.get(name, {})
            failed = [e for e in entries.values() if e.wanted and e.error]
        for entry in failed:
            yield Refusal(
                UNKNOWN,
                f"servable did not become available: {{Name: {name} Version: {entry.number}}}: "
                f"{entry.error}",
            )

    def _aspire(self, name: str, aspired: dict[int, Path]) -> None:
        with self._changed:
            entries = self._versions.setdefault(name, {})
            for number, path in aspired.items():
                entry = entries.get(number)
                # one that failed is tried again when it was unwanted in between
                if entry is None or (entry.state == State.END and not entry.wanted):
                    entries[number] = Version(number, path)
            for number, entry in entries.items():
                entry.wanted = number in aspired

    def _next_to_load(self, name: str) -> Version[M] | None:
        with self._changed:
            new = [e for e in self._versions.get(name, {}).values() if e.state == State.START]
            if not new:
                return None
            entry = max(new, key=lambda e: e.number)
            entry.state = State.LOADING
            return entry

    def _load_one(self, name: str, entry: Version[M]) -> None:
        self._log(f"Loading servable version {{name: {name} version: {entry.number}}}")
        try:
            entry.model = self._load(entry.path)
        except Exception as e:
            error = " ".join(str(e).split()) or type(e).__name__
            with self._changed:
                entry.state, entry.error = State.END, error
            return
        with self._changed:
            entry.state = State.AVAILABLE
        self._log(f"Successfully loaded servable version {{name: {name} version: {entry.number}}}")

    def _unload_unwanted(self, name: str) -> None:
        with self._changed:
            entries = list(self._versions.get(name, {}).values())
            served = [e for e in entries if e.state == State.AVAILABLE]
            unwanted = sorted((e for e in served if not e.wanted), key=lambda e: e.number)
            if any(e.wanted for e in entries) and not any(e.wanted for e in served):
                del unwanted[-1:]  # the last one that answers stays
            for entry in unwanted:
                entry.state = State.UNLOADING
        for entry in unwanted:
            with self._changed:
                self._changed.wait_for(lambda entry=entry: entry.users == 0)  # type: ignore[misc]
            if entry.model is not None:
                entry.model.close()
            with self._changed:
                entry.model, entry.state = None, State.END
            self._log(f"Done unloading servable version {{name: {name} version: {entry.number}}}")

    def _say(self, problems: list[Refusal]) -> None:
        """Logs each problem once, however often it is found again."""
        for problem in problems:
            if problem.message not in self._said:
                self._log(problem.message)
        self._said = {problem.message for problem in problems}
