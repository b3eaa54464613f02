"""The images that the embedded server keeps of what it was asked."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from segtrail.images import encode_png
from serving import launch
from serving.client import SegmentationClient
from serving.embedded.call import Call
from serving.embedded.request_log import INPUT, RequestLog

pytest.importorskip("tensorflow_serving")


def call(*images: bytes) -> Call:
    return Call("serving_default", {INPUT: np.array(images, dtype=object)}, ())


def kept(folder) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_server_keeps_what_it_answered_and_nothing_else(tiny, tmp_path):
    png = encode_png(np.array([[0, 100, 200]], np.uint8))
    folder = tmp_path / "seen"
    more = [f"--request_log={folder}"]
    running = launch.running_server("tiny", base_path=tiny, log=tmp_path / "log", more=more)
    with running as server, SegmentationClient(server.target, "tiny") as client:
        client.segment(png)
        with pytest.raises(Exception, match="image"):
            client.segment(b"\x89PNG\r\n\x1a\n damaged")
    assert kept(folder / "tiny") == [png]
    assert {p.suffix for p in (folder / "tiny").iterdir()} == {".png"}


def test_a_share_is_drawn(tmp_path):
    log = RequestLog(tmp_path, 0.25, 100, 30, print)
    for number in range(400):
        log.add("m", call(b"image %d" % number))
        time.sleep(0.0005)
    log.close()
    assert 40 < len(kept(tmp_path)) < 180


def test_the_oldest_go_when_it_is_too_much(tmp_path):
    log = RequestLog(tmp_path, 1, 1, 30, print)
    old = tmp_path / "m" / "20200101T000000Z-0.png"
    old.parent.mkdir()
    old.write_bytes(b"o" * 600_000)
    log.add("m", call(b"n" * 600_000))
    log.close()
    assert kept(tmp_path) == [b"n" * 600_000]


def test_what_is_too_old_goes(tmp_path):
    log = RequestLog(tmp_path, 1, 100, 2, print)
    old = tmp_path / "m" / "20200101T000000Z-0.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    log.add("m", call(b"new"))
    log.close()
    assert kept(tmp_path) == [b"new"]


def test_a_full_disk_is_told_once_and_stops_no_request(tmp_path):
    said: list[str] = []
    log = RequestLog(tmp_path / "seen", 1, 100, 30, said.append)
    (tmp_path / "seen").rmdir()
    (tmp_path / "seen").write_text("no folder")
    for _ in range(3):
        log.add("m", call(b"image"))
    log.close()
    assert len(said) == 1
    assert said[0].startswith("--request_log: ")
