"""A disk without room is told before anything begins. A real full disk: `make faults`."""

from collections import namedtuple

import pytest

from flows import room
from segtrail.errors import EXIT_FAULT

Usage = namedtuple("Usage", "total used free")


def with_free(monkeypatch, mebibytes: float) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Usage(0, 0, mebibytes * 2**20))


def test_a_full_disk_is_a_fault_that_says_what_frees_some(tmp_path, monkeypatch):
    with_free(monkeypatch, room.LEAST_MIB - 0.5)
    with pytest.raises(room.StepFault) as refused:
        room.require(tmp_path)
    assert refused.value.exit_code == EXIT_FAULT
    assert f"{tmp_path}: 7.5 MiB are free on its disk, a run needs 8" in refused.value.message
    assert "segtrail gc --dry-run" in refused.value.hint


def test_with_room_it_begins(tmp_path, monkeypatch):
    with_free(monkeypatch, room.LEAST_MIB)
    room.require(tmp_path)
