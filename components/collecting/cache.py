"""What of DVC's cache a stage once made and nothing refers to.

Not by `dvc gc`, which deletes whatever the commits do not name that it is told of: a worker's
clone, the ledger, and another clone that shares the cache may need more than those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from components.collecting import recorded
from components.collecting.found import Found
from components.ingestion.derived import run_record
from lineage import dvc_files
from segtrail.errors import LineageError
from segtrail.words import counted
from segtrail.workspace import Workspace

OUTPUTS, RUNS = "stage outputs", "stage runs"


def find(places: Sequence[Workspace], cache: Path) -> list[Found]:
    """Returns what may go, in the order in which it must: a listing after its files.

    So that one that was cut short is found again. What no `dvc.lock` and no run of a stage
    names stays, since nobody knows whose it is.

    Args:
        places: The workspace and the clones of its workers.
        cache: DVC's.

    Raises:
        UnclearError: The listing of a folder that is needed is not in the cache; or see
            `components.collecting.recorded.read`.
        LineageError: See `components.collecting.recorded.read`.
    """
    known = recorded.read(places, cache)
    kept, lost = _with_files(cache, known.needed)
    if lost:
        raise recorded.UnclearError(
            f"it lacks the listing of {counted(len(lost), 'folder', 'folders')} that git or the "
            f"ledger names, such as {min(lost)}: nobody can tell which files are theirs",
            "dvc fetch --all-commits   (if a remote has them)",
        )
    kept |= _with_files(cache, known.spared)[0]
    runs = _runs(cache)
    gone = _with_files(cache, known.made.union(*runs.values()))[0] - kept
    sizes: dict[Path, int] = {}
    for md5 in sorted(gone, key=lambda md5: (md5.endswith(dvc_files.DIR), md5)):
        path = dvc_files.object_path(cache, md5)
        if path.is_file():
            sizes[path] = path.stat().st_size
    records = {path: path.stat().st_size for path, outs in runs.items() if outs & gone}
    return [
        Found(OUTPUTS, "no tip, working tree or promotion names them", sizes),
        Found(RUNS, "what they made goes, or is gone", records),
    ]


def _with_files(cache: Path, md5s: Iterable[str]) -> tuple[set[str], set[str]]:
    """Returns contents with the files of those that are folders, and folders without listing."""
    found, lost = set(md5s), set()
    listings = {md5 for md5 in found if md5.endswith(dvc_files.DIR)}
    for md5 in listings - {dvc_files.EMPTY_FOLDER}:  # which a fresh clone need not have
        try:
            found |= set(dvc_files.read_listing(cache, md5).values())
        except LineageError:
            lost.add(md5)
    return found, lost


def _runs(cache: Path) -> dict[Path, set[str]]:
    """Returns the records of DVC's run cache, with the md5 of what each stage made."""
    found = {}
    for path in sorted((cache.parents[1] / "runs").glob("*/*/*")):
        try:
            record = yaml.safe_load(path.read_bytes())
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        if isinstance(record, Mapping):
            found[path] = set(run_record(record).outs.values())
    return found
