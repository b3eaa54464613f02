"""What DVC put back from its cache, compared with what `dvc.lock` says that a stage made.

DVC believes a file of its cache that nobody may write to. What a disk has forgotten since would be
learned from, and no link of the lineage would look at it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lineage import dvc_files
from segtrail.errors import LineageError


def forget_damaged(root: Path, stage: str) -> list[Path]:
    """Removes the outputs of a stage that are not what `dvc.lock` says, also from DVC's cache.

    Args:
        root: The workspace.
        stage: `<stage>@<recipe>`, whose outputs DVC has just put back.

    Returns:
        The files whose content was another, or the folder whose listing was.

    Raises:
        LineageError: `dvc.lock` is not readable.
    """
    record = dvc_files.parse_stages((root / "dvc.lock").read_bytes()).get(stage, {})
    cache = dvc_files.cache_folder(root)
    found: list[Path] = []
    for out in record.get("outs", []):
        path, md5 = root / str(out["path"]), str(out["md5"])
        if not dvc_files.object_path(cache, md5).exists():
            continue  # kept in git, not by DVC
        if damaged := _damaged(path, md5, cache):
            for each in damaged.values():
                dvc_files.object_path(cache, each).unlink(missing_ok=True)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            found += damaged
    return found


def _damaged(path: Path, md5: str, cache: Path) -> dict[Path, str]:
    """Returns what is not as recorded, and the md5 that it should have."""
    if not md5.endswith(dvc_files.DIR):
        return {} if dvc_files.file_md5(path) == md5 else {path: md5}
    try:
        listing = dvc_files.read_listing(cache, md5)
    except LineageError:
        return {path: md5}
    there = dvc_files.folder_md5s(path)
    return {path / name: each for name, each in listing.items() if there.get(name) != each}
