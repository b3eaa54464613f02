"""A bad delivery is refused with all its faults named, and leaves everything as it was."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import fuzzing
import numpy as np
import pytest

from segtrail import git, png
from segtrail.errors import DataError
from segtrail.images import decode_image, read_labels

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
        lambda f, lab: lab.write(f / "b/masks/m1.png", np.full((24, 32, 3), [255, 0, 0], np.uint8)),
        ["b/masks/m1.png", "expected a grey mask, found 3 channels that differ"],
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
    "JPEG header named .png": (
        lambda f, lab: (f / "b/images/b.png").write_bytes(
            b"\xff\xd8\xff\xc0\0\x0b\x08\0\x18\0\x20\x01\x01\x11\0"
        ),
        ["b/images/b.png", "cannot be decoded"],
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
    "a header of 4.9 gigapixels": (
        lambda f, lab: (f / "b/images/b.png").write_bytes(huge_header()),
        ["b/images/b.png", "70000x70000"],
    ),
    "image under another name": (
        lambda f, lab: lab.write(f / "b/images/other.png", GREY),
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
        [r"'b/masks/x\x1b[2J\n.png'", "control characters"],
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


def refused(lab, source: Path, **options: bool) -> str:
    """Ingests, sees that it is refused and that nothing moved; returns the message."""
    before = lab.snapshot()
    with pytest.raises(DataError) as caught:
        lab.ingest(source, **options)
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


def test_the_same_fault_of_many_files_is_told_once(lab):
    folder = lab.delivery("bad", "abc")
    for n in range(23):
        lab.write(folder / f"a/masks/x{n:02d}.png", GREY)
    message = refused(lab, folder)
    assert "23 problems" in message
    assert message.count("all black") == 1
    assert "23 files (first: a/masks/x00.png, a/masks/x01.png, a/masks/x02.png): " in message
    lab.ingest(folder, on_bad="quarantine")
    (report,) = lab.root.glob("quarantine/*/*/report.json")
    assert all(f"a/masks/x{n:02d}.png" in report.read_text() for n in range(23))


def test_a_delivery_of_another_layout_is_told_in_a_line(lab):
    folder = lab.delivery("bad", "abc")
    for image in "abc":  # a folder too many, inside
        (folder / image / "images").rename(folder / image / "pictures")
        (folder / image / "masks").rename(folder / image / "labels")
    lines = refused(lab, folder).splitlines()
    assert len(lines) == 3
    assert "files (first: a/labels/m0.png, a/labels/m1.png" in lines[1]
    assert "not in its place: expected <id>/images/<id>.png" in lines[1]
    assert "wrong --dataset" in lines[2]


def test_more_objects_than_16_bits_hold(lab, monkeypatch):
    monkeypatch.setattr("components.ingestion.adapters.dsb2018.MAX_LABEL", 1)
    assert "2 masks; a 16-bit label image holds 1" in refused(lab, lab.delivery("bad", "a"))


def test_a_right_image_under_a_wrong_name_lands_as_png(lab):
    """What a file is, its first bytes say; what lands is a PNG of the same pixels."""
    folder = lab.delivery("good", "a")
    file = folder / "a/images/a.png"
    pixels = decode_image(file.read_bytes(), "a")
    deep = pixels.astype(np.uint16) * 257
    for suffix, image in ((".bmp", pixels), (".tif", deep)):
        file.write_bytes(cv2.imencode(suffix, image)[1].tobytes())
        lab.ingest(folder, replace=True)
        landed = (lab.root / "data/nuclei/images/a.png").read_bytes()
        assert landed.startswith(b"\x89PNG")
        back = decode_image(landed, "a")
        assert back.dtype == image.dtype
        np.testing.assert_array_equal(back, image)


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


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_with_a_way_out_lands_nothing(lab, kind):
    """What else an archive may hold: see test_archive.py."""
    folder = lab.delivery("bad")
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}
    archive = lab.bench / "bad"
    shutil.rmtree(folder)
    fuzzing.pack(archive, kind, files | {"../../evil.png": png.encode(GREY)})
    message = refused(lab, archive)
    assert "unsafe name" in message
    assert "'../../evil.png'" in message
    assert not list(lab.root.parent.rglob("evil.png"))


@pytest.mark.parametrize("packed", [True, False])
def test_the_limits_of_the_settings_hold(lab, packed):
    params = lab.root / "params.yaml"
    params.write_text(params.read_text().replace("slices:", "limits: {files: 3}\n    slices:"))
    git.commit(lab.root, ["params.yaml"], "Limits")
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
    message = refused(landed, folder, replace=True)
    assert f"its new content is that of {one}, which is in test" in message
