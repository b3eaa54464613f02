"""Copies images out of a bucket: S3, and what else fsspec reaches."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from segtrail.errors import ConfigError, DataError
from segtrail.files import write_bytes
from segtrail.progress import track

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def download(prefix: str, target: Path) -> Path:
    """Makes `target` hold the images below a prefix; those that are there already stay.

    Credentials and end point come from the environment: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`
    and so on.

    Args:
        prefix: Such as `s3://bucket/last-week`.
        target: A folder of its own: what the bucket no longer has is removed from it.

    Returns:
        `target`.

    Raises:
        ConfigError: The packages for such an address are not installed.
        DataError: There is no image.
        OSError: The bucket gives no answer, or does not allow it.
    """
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(prefix, skip_instance_cache=True)
    except (ImportError, ValueError) as e:
        raise ConfigError(f"{prefix}: {e}", "pip install 'segtrail[remotes]'") from None
    found = system.find(root, detail=True)
    wanted = {name: info for name, info in found.items() if name.lower().endswith(_SUFFIXES)}
    if not wanted:
        raise DataError(f"{prefix}: no image there; PNG, JPEG, BMP or TIFF files are looked for")
    kept = set()
    for name, info in track(wanted.items(), "copying images", total=len(wanted)):
        path = target / _inside(PurePosixPath(name).relative_to(root), prefix)
        kept.add(path)
        if not (path.exists() and path.stat().st_size == info["size"] and _is_old(path, info)):
            write_bytes(path, system.cat_file(name))
    for path in target.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    return target


def _inside(name: PurePosixPath, prefix: str) -> PurePosixPath:
    """Refuses names that lead out of the folder: a bucket is untrusted."""
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"{prefix}: the name {str(name)!a} leads outside")
    return name


def _is_old(path: Path, info: dict[str, Any]) -> bool:
    changed = info.get("LastModified") or info.get("mtime")
    stamp = changed.timestamp() if isinstance(changed, datetime) else float(changed or 0)
    return path.stat().st_mtime >= stamp
