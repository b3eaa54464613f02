"""The pages of a TIFF as images of their own."""

from __future__ import annotations

from components.ingestion.archive import Source
from segtrail.errors import DataError
from segtrail.images import page_count

# Each page is read on its own, and the whole file for each page. 500 slices of 512x512 pixels
# come to 2^36 bytes, some minutes.
MAX_READ = 1 << 36


def count_pages(source: Source, name: str) -> int:
    """Returns how many images a file holds.

    Raises:
        DataError: It cannot be read, or has too many pages for its size.
    """
    data = source.read(name)
    pages = page_count(data, name)
    if pages > 1 and pages * len(data) > MAX_READ:
        raise DataError(
            f"{name}: {pages:,} pages in {len(data):,} bytes; at most "
            f"{max(1, MAX_READ // len(data)):,} of a file of this size are read",
            "deliver the pages as files, or the stack in several parts",
        )
    return pages
