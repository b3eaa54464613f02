"""What one kind of garbage is made of."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """Garbage of one kind.

    Attributes:
        kind: What it is, in words.
        why: Why nothing needs it, in words.
        sizes: `{file or folder: bytes}`, in the order in which it is to be removed.
    """

    kind: str
    why: str
    sizes: Mapping[Path, int]

    @property
    def bytes(self) -> int:
        """How much disk it takes."""
        return sum(self.sizes.values())

    def among(self, other: Found | None) -> Found:
        """Returns what `other` has, too."""
        shared = other.sizes if other else {}
        return replace(self, sizes={p: size for p, size in self.sizes.items() if p in shared})


def measure(path: Path) -> tuple[int, float]:
    """Returns bytes and last change (seconds since 1970) of a file, or of a folder with all in it.

    Raises:
        FileNotFoundError: It is not there.
    """
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode):
        return about.st_size, about.st_mtime
    size, changed = 0, about.st_mtime
    for at, folders, files in os.walk(path):
        for name in (*folders, *files):
            about = os.lstat(os.path.join(at, name))
            changed = max(changed, about.st_mtime)
            size += 0 if stat.S_ISDIR(about.st_mode) else about.st_size
    return size, changed
