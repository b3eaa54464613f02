"""What the stages made of erased images: outputs that hold their bytes or pixels.

DVC records of each run of a stage, in `dvc.lock` and in its run cache, the md5 of what it read
and of what it made. Followed from the data versions that held an erased image, they lead to
every folder that was made of it, in whatever commit or in none.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from components.ingestion.history import Read, listing

# What stays of a stage's output: tables, results and statistics over all images, which hold no
# image and which the audit needs. Of a folder that is not named here nothing stays.
KEPT = {
    "examples": ("*.json", "*.parquet"),
    "validation": ("*.json", "*.parquet"),
    "transform": ("*.json", "graph/*"),
    "model": ("*",),
    "training": ("*",),
    "evaluation": ("*.json", "*.parquet"),
}
# A file of a kept pattern that holds whole images: looked into, and deleted if one is erased.
LOOKED_INTO = ("assets.extra/tf_serving_warmup_requests",)
# What goes from the tree; reports have thumbnails, and DVC does not know of them, nor of what the
# demo's server was asked.
REMADE = (
    "examples", "validation", "transform", "evaluation", "drift", "gate/report.html", "compare",
    "asked",
)  # fmt: skip
_PNG = re.compile(rb"\x89PNG\r\n\x1a\n.*?IEND\xaeB`\x82", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """One run of a stage: `{path: md5}` of what it read and of what it made."""

    deps: Mapping[str, str]
    outs: Mapping[str, str]


@dataclass(frozen=True)
class Derived:
    """What was made of erased images.

    Attributes:
        md5s: Of the files to delete.
        outs: Of the outputs, folders mostly, that are no longer whole without them.
        versions: Of all outputs on the way, models too.
        lost: Of folders whose listing is nowhere, so that their files cannot be named.
    """

    md5s: frozenset[str]
    outs: frozenset[str]
    versions: frozenset[str]
    lost: frozenset[str]


def lock_records(content: bytes) -> dict[str, Record]:
    """Returns the runs that a `dvc.lock` records, by stage; none if it is not readable."""
    try:
        stages = (yaml.safe_load(content) or {}).get("stages") or {}
        return {str(name): run_record(stage) for name, stage in stages.items()}
    except (yaml.YAMLError, AttributeError):
        return {}


def run_record(raw: Mapping[str, Any]) -> Record:
    """Returns a run as `dvc.lock` and the run cache write it."""

    def md5s(kind: str) -> dict[str, str]:
        items = [item for item in raw.get(kind) or [] if isinstance(item, Mapping)]
        return {str(i["path"]): str(i["md5"]) for i in items if "path" in i and "md5" in i}

    return Record(md5s("deps"), md5s("outs"))


def derived(
    records: Iterable[Record],
    dataset: str,
    clean: Collection[str],
    erased: Collection[str],
    data: Collection[str],
    read: Read,
) -> Derived:
    """Returns what was made of erased images, and of no others.

    Args:
        records: Of all runs that are known.
        dataset: Whose images were erased.
        clean: The md5 of the data versions, whole or the dataset's part, that never held one
            of them. Any other content of the dataset counts as one that did.
        erased: The md5 of the erased files.
        data: The md5 of all files that `data/` ever held. A stage may hand an image on as it
            is, and then DVC keeps one content for both: only a tombstone deletes it.
        read: Gives listings and files.
    """
    records = list(records)
    tainted = _taint(records, f"data/{dataset}", set(clean), set(erased))
    doomed: set[str] = set()
    spared = set(data)
    broken: set[str] = set()
    lost: set[str] = set()
    for path, md5 in {item for record in records for item in record.outs.items()}:
        files = listing(read, md5) if md5.endswith(".dir") else {"": md5}
        if md5 not in tainted:
            spared |= set((files or {}).values())
        elif files is None:
            lost.add(md5)
        elif hit := {f for name, f in files.items() if _holds_images(path, name, f, erased, read)}:
            doomed |= hit
            broken.add(md5)
    return Derived(
        frozenset(doomed - spared), frozenset(broken), frozenset(tainted), frozenset(lost)
    )


def holds_erased(content: bytes, erased: Collection[str]) -> bool:
    """Whether a file has an erased PNG in it, whole."""
    pngs = _PNG.findall(content)
    return any(hashlib.md5(p, usedforsecurity=False).hexdigest() in erased for p in pngs)


def _taint(records: list[Record], data: str, clean: set[str], erased: set[str]) -> set[str]:
    """Follows the runs from the data; returns the md5 of all that was made on the way."""
    tainted = set(erased)
    for record in records:
        for path, md5 in record.deps.items():
            of_data = path in ("data", data) or path.startswith(f"{data}/")
            if of_data and md5.endswith(".dir") and md5 not in clean:
                tainted.add(md5)
    size = -1
    while len(tainted) > size:
        size = len(tainted)
        for record in records:
            if tainted & set(record.deps.values()):
                tainted |= set(record.outs.values())
    return tainted


def _holds_images(path: str, name: str, md5: str, erased: Collection[str], read: Read) -> bool:
    """Whether one file of an output must go."""
    parts = PurePosixPath(path, name).parts  # artifacts/<recipe>/<folder>/…
    folder = parts[2] if len(parts) > 2 and parts[0] == "artifacts" else ""
    inside = "/".join(parts[3:])
    if not any(fnmatch.fnmatchcase(inside, kept) for kept in KEPT.get(folder, ())):
        return True
    if inside not in LOOKED_INTO:
        return False
    content = read(md5)  # nowhere: a deletion that was interrupted
    return content is None or holds_erased(content, erased)
