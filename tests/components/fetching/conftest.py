"""The fixture of a publisher: see `tests/publisher.py`."""

from __future__ import annotations

from collections.abc import Iterator

import publisher as publishing
import pytest


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[publishing.Publisher]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with publishing.serve() as it:
        yield it
