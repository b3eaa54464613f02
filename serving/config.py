"""Which version serves: `serving/models.config`, TF Serving's ModelServerConfig as text proto.

Each recipe is a model, whose versions are named by the policy `specific`, with the label `stable`
on the champion. While the champion changes, the file names the old and the new version: a server
takes no file that moves a label to a version that it has not loaded (see
`components.promotion.changeover`). A canary is a model of its own, with one version and no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrail.errors import ServingError
from segtrail.settings.serving import canary_of
from serving import config_text
from serving.protocol import ModelConfig

_PLATFORM = "tensorflow"
STABLE = "stable"  # the label of the champion


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
        for entry in config_text.entries(path)
    }


def champion(path: Path, name: str) -> int | None:
    """Returns the version that the label `stable` is on, or None if the model is not served.

    Without labels, as a canary is and as earlier segtrails wrote it, it is the only version.

    Raises:
        ServingError: See `read`; or the file has no such label on one of the versions it names.
    """
    model = read(path).get(name)
    if model is None:
        return None
    found = model.labels.get(STABLE)
    if found is None and len(model.versions) == 1:
        return model.versions[0]
    if found is None or found not in model.versions:
        raise ServingError(
            f"{path}: model {name!r} must name one version (model_version_policy {{ specific }}), "
            f"or have the label {STABLE!r} on one of several; found the versions "
            f"{', '.join(map(str, model.versions)) or 'none'} and the label on {found or 'none'}"
        )
    return found


def canary(path: Path, recipe: str) -> int | None:
    """Returns the version that is served as the canary of a recipe, or None.

    Raises:
        ServingError: See `champion`.
    """
    return champion(path, canary_of(recipe))


def is_at(path: Path, name: str, base_path: Path) -> bool:
    """Whether a model is named, in this folder.

    Raises:
        ServingError: See `read`.
    """
    model = read(path).get(name)
    return model is not None and model.base_path == base_path


def unlike(path: Path, recipe: str, base_path: Path) -> str | None:
    """Says how champion and canary of a recipe are named otherwise than `set_champion` does it.

    Args:
        path: The file.
        recipe: The recipe.
        base_path: The folder that holds one folder a version.

    Returns:
        What is so in words, or None. Another version beside the champion is otherwise, too: it is
        so while the champion changes, and not when all is done.

    Raises:
        ServingError: See `champion`.
    """
    for entry in config_text.entries(path):
        if entry.name not in (recipe, canary_of(recipe)):
            continue
        version = champion(path, entry.name)
        if version is None:
            continue
        known = [_entry(entry.name, base_path, {version}, {})]
        if entry.name == recipe:
            known.append(_entry(entry.name, base_path, {version}, {STABLE: version}))
        if entry not in known:
            found = " ".join(str(entry).split())
            return f"expected {entry.name} with version {version} alone; found {found}"
    return None


def elsewhere(path: Path, store: Path) -> dict[str, Path]:
    """Returns the models, and their base paths, that lie outside of a store.

    Raises:
        ServingError: See `read`.
    """
    found = {name: model.base_path for name, model in read(path).items()}
    return {name: base for name, base in found.items() if not base.is_relative_to(store)}


def set_champion(
    path: Path, name: str, base_path: Path, version: int, *, beside: int | None = None
) -> None:
    """Puts the label `stable` on a version; other models stay as they are. Atomic.

    Args:
        path: The file.
        name: The model.
        base_path: The absolute folder that holds one folder a version.
        version: The version that gets the label.
        beside: Another version that is loaded, too.

    Raises:
        ServingError: The file that is there cannot be read; it is left as it is.
        ValueError: The name is empty, the path relative or a version below 1.
    """
    versions = {version} if beside is None else {version, beside}
    _put(path, _entry(name, base_path, versions, {STABLE: version}))


def set_canary(path: Path, recipe: str, base_path: Path, version: int) -> None:
    """Makes a version the canary of a recipe, under a name of its own. Atomic.

    Raises:
        ServingError: See `set_champion`.
        ValueError: See `set_champion`.
    """
    _put(path, _entry(canary_of(recipe), base_path, {version}, {}))


def write_anew(
    path: Path,
    champions: Mapping[str, tuple[Path, int]],
    canaries: Mapping[str, tuple[Path, int]] | None = None,
) -> None:
    """Replaces the file, whatever it holds, by one that names just these. Atomic.

    Args:
        path: The file.
        champions: `{recipe: (absolute base path, version)}`.
        canaries: Likewise.

    Raises:
        ValueError: See `set_champion`.
    """
    entries = [_entry(n, base, {v}, {STABLE: v}) for n, (base, v) in champions.items()]
    entries += [_entry(canary_of(n), base, {v}, {}) for n, (base, v) in (canaries or {}).items()]
    with config_text.locked(path):
        config_text.write(path, entries)


def withdraw(path: Path, name: str) -> None:
    """Takes a model out of the configuration: no version of it serves any more. Atomic.

    Raises:
        ServingError: See `set_champion`.
    """
    with config_text.locked(path):
        entries = config_text.entries(path)
        kept = [entry for entry in entries if entry.name != name]
        if len(kept) != len(entries):
            config_text.write(path, kept)


def _put(path: Path, wanted: Any) -> None:
    with config_text.locked(path):
        others = [entry for entry in config_text.entries(path) if entry.name != wanted.name]
        config_text.write(path, [*others, wanted])


def _entry(name: str, base_path: Path, versions: Set[int], labels: Mapping[str, int]) -> Any:
    if not name or min(versions) < 1 or not base_path.is_absolute():
        raise ValueError(
            "expected a name, an absolute base path and versions of 1 or more; received "
            f"{name!r}, {str(base_path)!r} and {sorted(versions)}"
        )
    wanted = ModelConfig(name=name, base_path=str(base_path), model_platform=_PLATFORM)
    wanted.model_version_policy.specific.versions.extend(sorted(versions))
    wanted.version_labels.update(labels)
    return wanted
