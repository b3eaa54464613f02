"""Which version serves: `serving/models.config`, TF Serving's ModelServerConfig as text proto.

The file names one version for each model, by the policy `specific`. It carries no version
labels: a server refuses a label on a version that it has not loaded yet, so a label would
have to follow in a second write.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from segtrail.errors import ServingError
from segtrail.files import write_text
from serving.protocol import ModelConfig, ModelServerConfig

_HEADER = "# Which version of each model serves. Written by segtrail; model servers poll it.\n"
_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class ServedModel:
    """One model of the configuration.

    Args:
        base_path: The absolute folder that holds one folder a version.
        versions: The versions named by the policy `specific`; empty under another policy.
        labels: Version labels.
    """

    base_path: Path
    versions: tuple[int, ...]
    labels: Mapping[str, int]


def read(path: Path) -> dict[str, ServedModel]:
    """Returns what the file says, by model name; nothing if there is no file yet.

    Raises:
        ServingError: The file is not a ModelServerConfig, names a model twice, or has a
            relative base path, any of which a model server would refuse.
    """
    return {
        entry.name: ServedModel(
            Path(entry.base_path),
            tuple(entry.model_version_policy.specific.versions),
            dict(entry.version_labels),
        )
        for entry in _parse(path).model_config_list.config
    }


def champion(path: Path, name: str) -> int | None:
    """Returns the version of the model that serves, or None if none does.

    Raises:
        ServingError: See `read`; or the file does not name exactly one version.
    """
    model = read(path).get(name)
    if model is None:
        return None
    if len(model.versions) != 1:
        raise ServingError(
            f"{path}: model {name!r} must name one version (model_version_policy {{ specific }}); "
            f"found {len(model.versions)}"
        )
    return model.versions[0]


def set_champion(path: Path, name: str, base_path: Path, version: int) -> None:
    """Makes `version` the one that serves; other models stay as they are. Atomic.

    Raises:
        ServingError: The file that is there cannot be read; it is left as it is.
        ValueError: The name is empty, the path relative or the version below 1.
    """
    wanted = _entry(name, base_path, version)
    with _locked(path):
        _write(path, [*(e for e in _entries(path) if e.name != name), wanted])


def write_anew(path: Path, champions: Mapping[str, tuple[Path, int]]) -> None:
    """Replaces the file, whatever it holds, by one that names just these. Atomic.

    Args:
        path: The file.
        champions: `{model: (absolute base path, version)}`.

    Raises:
        ValueError: See `set_champion`.
    """
    entries = [_entry(name, base, version) for name, (base, version) in champions.items()]
    with _locked(path):
        _write(path, entries)


def withdraw(path: Path, name: str) -> None:
    """Takes a model out of the configuration: no version of it serves any more. Atomic.

    Raises:
        ServingError: See `set_champion`.
    """
    with _locked(path):
        entries = _entries(path)
        kept = [entry for entry in entries if entry.name != name]
        if len(kept) != len(entries):
            _write(path, kept)


def _entry(name: str, base_path: Path, version: int) -> Any:
    if not name or version < 1 or not base_path.is_absolute():
        raise ValueError(
            "expected a name, an absolute base path and a version of 1 or more; received "
            f"{name!r}, {str(base_path)!r} and {version}"
        )
    wanted = ModelConfig(name=name, base_path=str(base_path), model_platform=_PLATFORM)
    wanted.model_version_policy.specific.versions.append(version)
    return wanted


def _entries(path: Path) -> list[Any]:
    return list(_parse(path).model_config_list.config)


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


def _write(path: Path, entries: list[Any]) -> None:
    config = ModelServerConfig()
    config.model_config_list.SetInParent()
    config.model_config_list.config.extend(sorted(entries, key=lambda entry: entry.name))
    write_text(path, _HEADER + text_format.MessageToString(config))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
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
