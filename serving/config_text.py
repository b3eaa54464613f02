"""`serving/models.config` as text: a ModelServerConfig, read, written whole, and locked."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from segtrail.errors import ServingError
from segtrail.files import write_text
from serving.protocol import ModelServerConfig

_HEADER = "# Which version of each model serves. Written by segtrail; model servers poll it.\n"


def entries(path: Path) -> list[Any]:
    """Returns the file's `ModelConfig` messages; none if there is no file yet.

    Raises:
        ServingError: The file is not a ModelServerConfig, names a model twice, or has a
            relative base path, any of which a model server would refuse.
    """
    return list(_parse(path).model_config_list.config)


def write(path: Path, entries: Sequence[Any]) -> None:
    """Replaces the file by one with these `ModelConfig` messages, by name. Atomic."""
    config = ModelServerConfig()
    config.model_config_list.SetInParent()
    config.model_config_list.config.extend(sorted(entries, key=lambda entry: entry.name))
    write_text(path, _HEADER + text_format.MessageToString(config))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds off other writers, so that two promotions at once do not undo each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink()  # by a writer that was killed: no other one is at work now
        yield
    finally:
        os.close(fd)


def _parse(path: Path) -> ModelServerConfig:
    config = ModelServerConfig()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return config
    except (OSError, UnicodeDecodeError) as e:
        raise ServingError(f"{path}: cannot be read: {e}") from None
    hint = "segtrail promote --recover   (writes it anew from the ledger)"
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as e:
        raise ServingError(f"{path}: not a ModelServerConfig text proto: {e}", hint) from None
    seen: set[str] = set()
    for entry in config.model_config_list.config:
        if not entry.name or entry.name in seen:
            raise ServingError(
                f"{path}: expected every model to have a name of its own; found {entry.name!r} "
                + ("twice" if entry.name else ""),
                hint,
            )
        seen.add(entry.name)
        if not entry.base_path.startswith("/"):
            raise ServingError(
                f"{path}: model {entry.name!r}: expected an absolute base_path; found "
                f"{entry.base_path!r}",
                hint,
            )
    return config
