"""A bad delivery is refused with all its faults named, and leaves everything as it was."""

from __future__ import annotations

import io
import os
import stat
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from segtrail import png
from segtrail.errors import DataError
from segtrail.images import read_labels

GREY = np.zeros((24, 32), np.uint8)


def drawn(rows: slice, columns: slice, value: int = 255, shape=(24, 32)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[rows, columns] = value
    return mask


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def huge_header() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 70_000, 70_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header)) + bytes(30)


# What is done to a good folder of images a, b, c, d; what the message says of which file.
FOLDER_FAULTS = {
    "image without masks": (
        lambda f, lab: remove(f / "b/masks"),
        ["b/images/b.png", "without masks", "one PNG a nucleus in b/masks"],
    ),
    "masks without an image": (
        lambda f, lab: remove(f / "b/images"),
        ["b/masks", "2 masks without an image", "b/images/b.png"],
    ),
    "mask of another size": (
        lambda f, lab: lab.write(f / "b/masks/m1.png", drawn(slice(5), slice(5), 255, (24, 24))),
        ["b/masks/m1.png", "expected 32x24", "found 24x24"],
    ),
    "all-black mask": (
        lambda f, lab: lab.write(f / "b/masks/m1.png", GREY),
        ["b/masks/m1.png", "all black", "expected one nucleus"],
    ),
    "grey mask": (
        lambda f, lab: lab.write(f / "b/masks/m1.png", drawn(slice(2, 9), slice(20, 29), 128)),
        ["b/masks/m1.png", "expected 0 and 255 only, found 128"],
    ),
    "colour mask": (
        lambda f, lab: lab.write(f / "b/masks/m1.png", np.full((24, 32, 3), 255, np.uint8)),
        ["b/masks/m1.png", "expected a grey mask, found 3 channels"],
    ),
    "masks that overlap": (
        lambda f, lab: lab.write(f / "b/masks/m1.png", drawn(slice(2, 9), slice(5, 20))),
        ["b/masks/m1.png", "shares 49 of its 105 pixels"],
    ),
    "text named .png": (
        lambda f, lab: (f / "b/images/b.png").write_text("image,class\n"),
        ["b/images/b.png", "not an image", "b'image,class"],
    ),
    "text named .png, as a mask": (
        lambda f, lab: (f / "b/masks/m1.png").write_text("hello"),
        ["b/masks/m1.png", "not an image"],
    ),
    "JPEG named .png": (
        lambda f, lab: (f / "b/images/b.png").write_bytes(
            b"\xff\xd8\xff\xc0\0\x0b\x08\0\x18\0\x20\x01\x01\x11\0"
        ),
        ["b/images/b.png", "not a PNG file"],
    ),
    "PNG cut short": (
        lambda f, lab: (f / "b/images/b.png").write_bytes(
            (f / "b/images/b.png").read_bytes()[:300]
        ),
        ["b/images/b.png", "cut short", "300 bytes"],
    ),
    "empty file": (
        lambda f, lab: (f / "b/masks/m0.png").write_bytes(b""),
        ["b/masks/m0.png", "empty"],
    ),
    "16-bit image": (
        lambda f, lab: lab.write(f / "b/images/b.png", GREY.astype(np.uint16)),
        ["b/images/b.png", "expected 8 bits a channel, found 16"],
    ),
    "a header of 4.9 gigapixels": (
        lambda f, lab: (f / "b/images/b.png").write_bytes(huge_header()),
        ["b/images/b.png", "70000x70000"],
    ),
    "image under another name": (
        lambda f, lab: (f / "b/images/b.png").rename(f / "b/images/other.png"),
        ["b/images/other.png", "expected the image to be named b.png"],
    ),
    "PNG out of place": (
        lambda f, lab: lab.write(f / "b/extra/m.png", GREY),
        ["b/extra/m.png", "not in its place"],
    ),
    "something else among the masks": (
        lambda f, lab: (f / "b/masks/m0.tif").write_bytes(b"II*\0"),
        ["b/masks/m0.tif", "expected a file named *.png"],
    ),
    "an id that is no file name": (
        lambda f, lab: (f / "b").rename(f / "b :c"),
        ["'b :c'", "cannot be a file name"],
    ),
    "ids that differ in case": (
        lambda f, lab: lab.delivery(f.name, "B"),
        ["differs from B in upper and lower case only"],
    ),
    "a file name with control characters": (
        lambda f, lab: lab.write(f / "b/masks/x\x1b[2J\n.png", GREY),
        [r"'b/masks/x\x1b[2J\n.png'", "all black"],
    ),
    "a file name that is not UTF-8": (
        lambda f, lab: (f / os.fsdecode(b"b/masks/caf\xe9.png")).write_bytes(b""),
        [r"'b/masks/caf\udce9.png'", "its name is not UTF-8"],
    ),
    "a folder name that is not UTF-8": (
        lambda f, lab: lab.write(f / os.fsdecode(b"caf\xe9/images/b.png"), GREY),
        [r"'caf\udce9'", "its name is not UTF-8"],
    ),
    "a mask of which a later one leaves nothing": (
        lambda f, lab: lab.write(f / "b/masks/m0.png", drawn(slice(13, 15), slice(16, 18))),
        ["b/masks/m0.png", "nothing would be left of it"],
    ),
    "the same small mask twice": (
        lambda f, lab: [
            lab.write(f / f"b/masks/{name}.png", drawn(slice(2), slice(2))) for name in "xy"
        ],
        ["b/masks/x.png", "nothing would be left of it"],
    ),
    "symbolic link to a file": (
        lambda f, lab: (f / "b/masks/m2.png").symlink_to("/etc/hostname"),
        ["b/masks/m2.png", "symbolic link"],
    ),
    "symbolic link to a folder": (
        lambda f, lab: (f / "e").symlink_to(f / "a"),
        ["e: is a symbolic link"],
    ),
}


def refused(lab, source: Path) -> str:
    """Ingests, sees that it is refused and that nothing moved; returns the message."""
    before = lab.snapshot()
    with pytest.raises(DataError) as caught:
        lab.ingest(source)
    assert lab.snapshot() == before
    assert not (lab.root / ".segtrail/ingest/new").exists()
    return str(caught.value)


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_each_fault_is_named_and_nothing_lands(lab, fault):
    spoil, expected = FOLDER_FAULTS[fault]
    folder = lab.delivery("bad")
    spoil(folder, lab)
    message = refused(lab, folder)
    for part in ("bad:", "1 problem;", "nothing was ingested", *expected):
        assert part in message


def test_a_bad_delivery_leaves_a_dataset_as_it_was(landed):
    folder = landed.delivery("bad", "efg")
    landed.write(folder / "f/masks/m0.png", GREY)
    assert "all black" in refused(landed, landed.zipped(folder))


def test_faults_are_told_all_at_once(lab):
    folder = lab.delivery("bad")
    for image in "abc":
        lab.write(folder / image / "masks/m0.png", GREY)
    remove(folder / "d/masks")
    message = refused(lab, folder)
    assert "4 problems" in message
    for name in ("a/masks/m0.png", "b/masks/m0.png", "c/masks/m0.png", "d/images/d.png"):
        assert name in message


def test_beyond_twenty_faults_are_counted(lab):
    folder = lab.delivery("bad", "abc")
    for n in range(23):
        lab.write(folder / f"a/masks/x{n:02d}.png", GREY)
    message = refused(lab, folder)
    assert message.count("all black") == 20
    assert "and 3 more" in message


def test_more_objects_than_16_bits_hold(lab, monkeypatch):
    monkeypatch.setattr("components.ingestion.checks.MAX_LABEL", 1)
    assert "2 masks; a 16-bit label image holds 1" in refused(lab, lab.delivery("bad", "a"))


def test_a_pixel_or_two_may_be_shared_and_the_later_mask_wins(lab, capsys):
    folder = lab.delivery("good")
    lab.write(folder / "b/masks/m1.png", drawn(slice(8, 20), slice(10, 28)))  # shares 1 x 2
    lab.write(folder / "c/masks/m1.png", drawn(slice(8, 20), slice(11, 28)))  # shares 1
    assert lab.ingest(folder).images == 4
    labels = read_labels((lab.root / "data/nuclei/masks/b.png").read_bytes(), "b")
    assert labels[8, 9:13].tolist() == [1, 2, 2, 2]
    out = capsys.readouterr().out
    assert "2 images with overlaps of at most 2 pixels; the later mask won\n" in out


def test_nothing_is_said_of_overlaps_where_there_are_none(lab, capsys):
    lab.ingest(lab.delivery("good", "a"))
    assert "overlap" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"this is no archive", "not a readable zip"),
        (b"", "not a readable zip"),
        (None, "not a readable zip"),  # cut in half
    ],
)
def test_a_corrupt_archive(lab, content, says):
    archive = lab.zipped(lab.delivery("bad"))
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2] if content is None else content)
    message = refused(lab, archive)
    assert says in message
    assert str(archive) in message


def test_a_damaged_member_is_named(lab):
    archive = lab.zipped(lab.delivery("bad"))
    with zipfile.ZipFile(archive) as z:
        info = z.getinfo("c/images/c.png")
    data = bytearray(archive.read_bytes())
    at = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
    data[at] ^= 0xFF
    archive.write_bytes(bytes(data))
    message = refused(lab, archive)
    assert "bad.zip: 1 problem" in message
    assert "c/images/c.png: cannot be unpacked" in message


@pytest.mark.parametrize(
    "name",
    ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "a\\..\\evil.png", "C:/evil.png"],
)
def test_names_that_lead_outside(lab, name):
    archive = lab.zipped(lab.delivery("bad"))
    with zipfile.ZipFile(archive, "a") as z:
        z.writestr(name, png.encode(GREY))
    message = refused(lab, archive)
    assert "unsafe name" in message
    assert repr(name) in message
    assert not list(lab.root.parent.rglob("evil.png"))


def test_a_link_in_an_archive(lab):
    archive = lab.zipped(lab.delivery("bad"))
    link = zipfile.ZipInfo("a/masks/m2.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as z:
        z.writestr(link, "/etc/passwd")
    assert "a/masks/m2.png: is a symbolic link" in refused(lab, archive)


def test_a_member_that_is_there_twice(lab):
    archive = lab.zipped(lab.delivery("bad"))
    with zipfile.ZipFile(archive, "a") as z, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        z.writestr("a/images/a.png", png.encode(GREY))
    assert "a/images/a.png: is in the archive twice" in refused(lab, archive)


def test_an_encrypted_archive(lab):
    archive = lab.zipped(lab.delivery("bad", "a"))
    data = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(signature, at + 4)
    archive.write_bytes(bytes(data))
    assert "is encrypted" in refused(lab, archive)


def test_a_decompression_bomb(lab):
    archive = lab.zipped(lab.delivery("bad"))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as z:
        z.writestr("e/images/e.png", bytes(50 << 20))
    message = refused(lab, archive)
    assert "e/images/e.png: unpacks to" in message
    assert "at most 100 times" in message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_a_bound_is_refused_unread(lab, method):
    archive = lab.zipped(lab.delivery("bad"))
    with zipfile.ZipFile(archive, "a", method) as z:
        z.writestr("e/images/e.png", png.encode(GREY))
    message = refused(lab, archive)
    assert f"e/images/e.png: is compressed by method {method}" in message
    assert "expected it stored or deflated" in message


def lying(path: Path, content: bytes, size: int, crc: int | None = None) -> Path:
    """Makes an archive of one image whose headers tell another size than its content has."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a/images/a.png", content)
        z.writestr("a/masks/m.png", png.encode(drawn(slice(5), slice(5))))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        at = data.find(signature) + offset
        if crc is not None:
            data[at : at + 4] = struct.pack("<I", crc)
        data[at + 8 : at + 12] = struct.pack("<I", size)
    path.write_bytes(bytes(data))
    return path


def test_a_bomb_whose_header_lies_is_not_inflated(lab):
    good = png.encode(GREY)
    # of the tampered content, so that the checksum would hold for what the header promises
    archive = lying(lab.bench / "bad.zip", good + bytes(60 << 20), len(good), zlib.crc32(good))
    tracemalloc.start()
    try:
        message = refused(lab, archive)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "a/images/a.png: cannot be unpacked" in message
    assert peak < 20 << 20


def test_a_member_shorter_than_its_header_says(lab):
    good = png.encode(GREY)
    message = refused(lab, lying(lab.bench / "bad.zip", good, len(good) + 7))
    assert f"expected {len(good) + 7:,} bytes by its header, found {len(good):,}" in message


def test_an_archive_that_may_not_be_read(lab, monkeypatch):
    archive = lab.zipped(lab.delivery("bad"))
    open_ = io.open

    def refuse(file, *args, **kwargs):  # root may read everything
        if file == archive or file == str(archive):
            raise PermissionError(13, "Permission denied", str(archive))
        return open_(file, *args, **kwargs)

    monkeypatch.setattr(io, "open", refuse)
    with pytest.raises(DataError, match=r"bad\.zip: cannot be read: Permission denied"):
        lab.ingest(archive)


def test_a_source_whose_name_is_not_utf_8(lab):
    folder = lab.delivery("bad", "a")
    renamed = folder.rename(folder.with_name(os.fsdecode(b"caf\xe9")))
    assert r"'caf\udce9': its name is not UTF-8" in refused(lab, renamed)


def test_members_that_share_their_bytes(lab):
    """The bomb without a high ratio: many names for the same compressed bytes."""
    archive = lab.bench / "bad.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as z:
        z.writestr("a/images/a.png", bytes(9000))
        original = z.getinfo("a/images/a.png")
        for n in range(30):
            twin = zipfile.ZipInfo(f"a/masks/{n}.png")
            twin.header_offset, twin.CRC = original.header_offset, original.CRC
            twin.compress_size = twin.file_size = original.file_size
            z.filelist.append(twin)
            z.NameToInfo[twin.filename] = twin
    assert "members overlap" in refused(lab, archive)


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_FILE_BYTES", "MAX_TOTAL_BYTES"])
@pytest.mark.parametrize("packed", [True, False])
def test_limits_of_number_and_size(lab, monkeypatch, limit, packed):
    monkeypatch.setattr(f"components.ingestion.archive.{limit}", 3)
    folder = lab.delivery("bad", "ab")
    assert "at most 3 are read" in refused(lab, lab.zipped(folder) if packed else folder)


def test_no_such_source(lab):
    assert "no such file or folder" in refused(lab, lab.bench / "nowhere.zip")


def test_a_source_without_images(lab):
    folder = lab.bench / "papers"
    folder.mkdir()
    (folder / "README.md").write_text("nothing here")
    assert "no images: expected <id>/images/<id>.png" in refused(lab, folder)


def test_content_must_not_come_to_stand_in_two_splits(landed):
    splits = landed.splits()
    one = next(image for image, split in splits.items() if split == "test")
    other = next(image for image, split in splits.items() if split == "train")
    folder = landed.delivery("swap", [other])
    source = landed.root / f"data/nuclei/images/{one}.png"
    (folder / other / "images" / f"{other}.png").write_bytes(source.read_bytes())
    message = refused(landed, folder)
    assert f"its new content is that of {one}, which is in test" in message
