"""What an earlier run left in OUT, and whether it may be gone on with."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.batching import parts
from components.batching.chunks import Digests
from components.batching.output import LABELS, MASK, Output
from components.batching.promoted import Promoted
from segtrail.errors import ConfigError
from segtrail.files import sha256_file

_WAY_OUT = "name another OUT, or replace what is there: --overwrite"


@dataclass(frozen=True)
class Earlier:
    """What is known of images that were segmented before.

    Attributes:
        tables: `(images, objects)`: Parquet files, the merged ones first, then parts.
        done: The digests of each image.
        owner: The place in `tables` of each image's rows.
        run: The number of the next run: see `components.batching.output.Part`.
    """

    tables: list[tuple[Path, Path]]
    done: dict[str, Digests]
    owner: dict[str, int]
    run: int


def is_own(out: Output, about: Mapping[str, Any], asked: Promoted, overwrite: bool) -> bool:
    """Returns whether what is in OUT is by the model that is asked.

    Raises:
        ConfigError: It is not, and must not be replaced.
    """
    was = tuple(about.get(key) for key in ("recipe", "version", "model_digest"))
    if was == (asked.recipe, asked.version, asked.digest):
        return True
    if overwrite:
        return False
    raise ConfigError(
        f"{out.root}: has results of {was[0]} v{was[1]} (model {str(was[2])[:12]}); asked for "
        f"{asked.recipe} v{asked.version} (model {asked.digest[:12]})",
        _WAY_OUT,
    )


def wipe(out: Output) -> None:
    """Removes all results, so that none of another model is ever taken for one of this."""
    for path in out.tables:
        path.unlink(missing_ok=True)
    for folder in (out.parts_folder, out.masks):
        shutil.rmtree(folder, ignore_errors=True)


def earlier(out: Output, about: Mapping[str, Any] | None) -> Earlier:
    """Reads what is done; tables that are not as they were written are not counted."""
    files = (about or {}).get("files") or {}
    tables = []
    both = out.images, out.objects
    if all(p.exists() and sha256_file(p) == files.get(p.name) for p in both):
        tables.append(both)
    left = out.parts()
    tables += [(part.images, part.objects) for part in left]
    done: dict[str, Digests] = {}
    owner: dict[str, int] = {}
    for place, (images, _) in enumerate(tables):
        for row in parts.read_rows(images):
            if row.digests is None:
                done.pop(row.image, None)
            else:
                done[row.image], owner[row.image] = row.digests, place
    owner = {image: owner[image] for image in done}
    now = time.time_ns() // 1_000_000  # a worker that outlived a killed run writes parts of that
    return Earlier(tables, done, owner, max([now, *(part.run + 1 for part in left)]))


def require_there(out: Output, done: Iterable[str], images: Collection[str]) -> None:
    """Refuses to lose results of images that IN no longer has.

    Raises:
        ConfigError: There are some.
    """
    gone = sorted(set(done).difference(images))
    if gone:
        verb = "one image" if len(gone) == 1 else f"{len(gone):,} images"
        raise ConfigError(
            f"{out.root}: has results of {verb} that IN does not have: {gone[0]}"
            + (", …" if len(gone) > 1 else ""),
            f"{_WAY_OUT} (what is in both is kept)",
        )


def sweep(out: Output, images: Collection[str], has_objects: bool) -> None:
    """Removes masks of images without a row, and what a killed worker was writing."""
    ends = (MASK, LABELS) if has_objects else (MASK,)
    for path in out.root.glob(f".{out.about.name}.*.tmp"):
        path.unlink()
    for at, _, files in os.walk(out.masks, topdown=False):
        below = os.path.relpath(at, out.masks)
        for name in files:
            whole = name if below == "." else f"{below}/{name}"
            if not any(whole.endswith(e) and whole.removesuffix(e) in images for e in ends):
                os.unlink(os.path.join(at, name))
        if below != "." and not os.listdir(at):
            os.rmdir(at)
