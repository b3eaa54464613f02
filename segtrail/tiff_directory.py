"""Finds the pages of TIFF and BigTIFF files that nobody vouches for, and their fields."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# The directories of the pages are a chain, walked from its first link for each page that is read:
# 4096 pages come to seconds, 65,535 to hours. Sheets of microscopes have some thousands of slices.
MAX_PAGES = 4096
WIDTH, HEIGHT = 256, 257
_MAX_ENTRIES = 4096  # of a page; BigTIFF's could fill the file, and be read again for each page
_LAST_TAG = 339
_TYPES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}

Fields = dict[int, npt.NDArray[np.integer]]


@dataclass(frozen=True)
class TiffFile:
    """A file and how its numbers are written."""

    data: bytes
    order: str
    entries: struct.Struct  # how the number of a directory's entries is written
    at: struct.Struct  # how an offset is written
    first: int

    @classmethod
    def of(cls, data: bytes) -> TiffFile:
        """Reads the header.

        Raises:
            struct.error: It is cut short.
        """
        order = "<" if data[:2] == b"II" else ">"
        big = data[2:4] in (b"+\0", b"\0+")
        entries, at = (struct.Struct(order + code) for code in ("QQ" if big else "HI"))
        return cls(data, order, entries, at, *at.unpack_from(data, 8 if big else 4))

    def page_count(self, name: str) -> int:
        """Returns how many pages there are.

        Raises:
            DataError: The chain of pages is damaged, or has more than `MAX_PAGES`.
            struct.error: It is cut short.
        """
        return sum(1 for _ in self._pages(name))

    def fields(self, name: str, page: int) -> Fields:
        """Returns the whole numbers of a page's directory, by tag.

        Raises:
            DataError: There is no such page.
            struct.error: The file is cut short.
        """
        number = 0
        for number, at in enumerate(self._pages(name), 1):
            if number == page + 1:
                return self._fields(at)
        raise DataError(f"{name}: no page {page + 1}; it has {number}")

    @property
    def _entry_size(self) -> int:
        return 4 + 2 * self.at.size  # tag and type, how many values, and these or where they are

    def _entries_at(self, page: int) -> tuple[int, int]:
        """Returns where the entries of a directory start, and where they end.

        Raises:
            struct.error: The file ends before they do.
        """
        if page > len(self.data):
            raise struct.error("a directory beyond the end")
        (count,) = self.entries.unpack_from(self.data, page)
        if count > _MAX_ENTRIES:
            raise struct.error("more fields than there are kinds of them")
        start = page + self.entries.size
        end = start + count * self._entry_size  # where the link to the next page is
        if end + self.at.size > len(self.data):
            raise struct.error("a directory longer than the file")
        return start, end

    def _pages(self, name: str) -> Iterator[int]:
        """Yields where the directory of each page is."""
        seen: set[int] = set()
        page = self.first
        while page:
            if page in seen:
                raise DataError(f"{name}: damaged: its pages form a loop")
            if len(seen) == MAX_PAGES:
                raise DataError(f"{name}: more than {MAX_PAGES:,} pages", "split the file")
            seen.add(page)
            _, end = self._entries_at(page)
            yield page
            (page,) = self.at.unpack_from(self.data, end)

    def _fields(self, page: int) -> Fields:
        """Returns the whole numbers of a directory, by tag."""
        start, end = self._entries_at(page)
        inline = self.at.size
        found: Fields = {}
        for at in range(start, end, self._entry_size):
            tag, kind = struct.unpack_from(self.order + "HH", self.data, at)
            if not WIDTH <= tag <= _LAST_TAG or kind not in _TYPES:
                continue
            (number,) = self.at.unpack_from(self.data, at + 4)
            dtype = np.dtype(self.order + _TYPES[kind])
            where = at + 4 + inline
            if number * dtype.itemsize > inline:
                (where,) = self.at.unpack_from(self.data, where)
            if where + number * dtype.itemsize > len(self.data):
                raise struct.error("a field beyond the end")
            found[tag] = np.frombuffer(self.data, dtype, number, where)
        return found


def page_size(data: bytes, name: str, page: int = 0) -> tuple[int, int]:
    """Returns `(height, width)` of a page by its directory.

    Raises:
        DataError: There is no such page.
        struct.error: The file is cut short.
        KeyError: The directory does not say it.
    """
    fields = TiffFile.of(data).fields(name, page)
    return int(fields[HEIGHT][0]), int(fields[WIDTH][0])
