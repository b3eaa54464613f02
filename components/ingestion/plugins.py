"""Loads the modules in which adapters are, and keeps those apart that cannot be loaded.

A broken module of somebody's own must not stop the ingestion of datasets that do not use it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

_IMPORTERS = (__file__, str(Path(importlib.__file__).parent), "<frozen")
_BACKPORT = "importlib_metadata"  # stands in for the standard library's once anything imports it


@dataclass(frozen=True)
class Failure:
    """A module that could not be loaded.

    Attributes:
        name: The module's, or the entry point's: that of the adapter in it, by custom.
        where: What to call it in messages.
        why: The error, with the line where it came up.
    """

    name: str
    where: str
    why: str

    def is_of(self, adapter: str) -> bool:
        """Whether the adapter of this name is in the module, by its name."""
        return self.name.replace("_", "-") == adapter.replace("_", "-")

    def __str__(self) -> str:
        return f"{self.where}: cannot be loaded: {self.why}"


def load_all(
    package: ModuleType, group: str, registry: MutableMapping[str, type[Any]]
) -> tuple[Failure, ...]:
    """Imports the modules of a package, and what installed distributions name as entry points.

    Args:
        package: Whose modules.
        group: Of entry points.
        registry: In which the modules register classes. Those of a module that was not loaded
            to its end are taken out again.

    Returns:
        What could not be loaded. Whatever a module raises is caught.
    """
    failed = []
    for name, where, load in _sources(package, group):
        try:
            load()
        except (Exception, SystemExit) as e:
            failed.append(Failure(name, where, _why(e, named=where.endswith(".py"))))
            for key in [k for k, c in registry.items() if c.__module__ not in sys.modules]:
                del registry[key]
    return tuple(failed)


def _sources(package: ModuleType, group: str) -> Iterator[tuple[str, str, Callable[[], object]]]:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        path = module.name.replace(".", "/") + ("/__init__.py" if module.ispkg else ".py")
        yield (
            module.name.rpartition(".")[2], path,
            functools.partial(importlib.import_module, module.name),
        )  # fmt: skip
    for entry in entry_points(group=group):
        yield entry.name, _described(entry), entry.load


def _described(entry: EntryPoint) -> str:
    of = f" of {entry.dist.name}" if entry.dist else ""
    return f"the entry point {entry.name} = {entry.value}{of}"


def _why(error: BaseException, *, named: bool) -> str:
    """Returns an error and its line: that of the first file that is no importer.

    Args:
        error: While a module was imported.
        named: Whether it is clear which file the line is of.
    """
    what = " ".join(str(error).split())
    if not isinstance(error, ImportError | SyntaxError):
        what = f"{type(error).__name__}: {what}"
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(_IMPORTERS) and _BACKPORT not in frame.filename:
            file, line = frame.filename, frame.lineno
            break
    else:
        if not isinstance(error, SyntaxError) or not error.filename:
            return what
        what, file, line = error.msg, error.filename, error.lineno
    return f"{what} ({'' if named else f'{Path(file).name}, '}line {line})"
