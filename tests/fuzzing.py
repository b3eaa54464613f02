"""Makes damaged deliveries, brings them to the door, and says what became of each.

Run as a program, in a process of its own with a limit of memory:
`python fuzzing.py <corpus> <scratch> <results.jsonl> <first> <step> <cases>`.
The corpus is a folder with a folder for each layout in `LAYOUTS`; see `test_fuzz.py`.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import resource
import shutil
import struct
import sys
import tarfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from components.ingestion import intake
from components.ingestion.adapter import adapter_for
from components.ingestion.archive import open_source
from components.ingestion.problems import Problems
from segtrail.errors import SegtrailError
from segtrail.images import decode_image, decode_values, encode_png, read_labels
from segtrail.settings.dataset import Dataset, Limits

KINDS = ("zip", "tar", "tar.gz", "folder")
LIMITS = Limits(megapixels=4, file_mib=16, total_gib=1)
LAYOUTS = {
    adapter: Dataset(
        adapter=adapter, masks="instances", classes=["nucleus"], slices={}, splits={}, limits=LIMITS
    )
    for adapter in ("dsb2018", "folders")
}
MEMORY = 768 << 20  # beyond what the process has before the first case

Files = dict[str, bytes]
EDGES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


# Damage to bytes of any kind


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    count = min(rng.choice((1, 4, 16, 64, 512)), len(data) - at)
    data[at : at + count] = rng.choice((bytes(count), b"\xff" * count, rng.randbytes(count)))


def cut_end(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def cut_middle(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 3, 64, 600))]


def insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 4, 100)))


def swap(rng: random.Random, data: bytearray) -> None:
    size = rng.choice((1, 4, 32, 512))
    if len(data) > 2 * size:
        a, b = sorted(rng.sample(range(len(data) - size + 1), 2))
        if a + size <= b:
            one, other = data[a : a + size], data[b : b + size]
            data[a : a + size], data[b : b + size] = other, one


def lie_in_header(rng: random.Random, data: bytearray) -> None:
    width = rng.choice((1, 2, 4))
    at = rng.randrange(min(len(data), 64))
    value = rng.choice(EDGES) & (1 << 8 * width) - 1
    data[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def lie_anywhere(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at : at + 4] = struct.pack(rng.choice(("<I", ">I")), rng.choice(EDGES))


ANY = (flip, overwrite, cut_end, cut_middle, insert, swap, lie_in_header, lie_anywhere)


# Damage to images


def png_with_right_checksums(rng: random.Random, data: bytes) -> bytes:
    """Changes what is in the chunks of a PNG; the checksums hold."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + length])))
        at += 12 + length
    if rng.random() < 0.4:  # the header: size, depth, colour, interlace
        header = chunks[0][1]
        which = rng.randrange(4)
        if which < 2:
            struct.pack_into(">I", header, 4 * which, rng.choice((0, 1, 30, 300, 70_000, 1 << 31)))
        else:
            header[rng.choice((8, 9, 12))] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16))
    elif rng.random() < 0.3:
        rng.shuffle(chunks)
    else:
        body = rng.choice([c for c in chunks if c[0] == b"IDAT"])[1]
        rng.choice((flip, overwrite, cut_end))(rng, body)
    return data[:8] + b"".join(
        struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c))
        for kind, c in chunks
    )


def other_format(rng: random.Random, data: bytes) -> bytes:
    """The same pixels, or others, in another format under the old name."""
    pixels = decode_image(data, "x")
    pixels = pixels if pixels.ndim == 2 else pixels[..., 2::-1]
    if rng.random() < 0.5:
        pixels = pixels[: rng.randrange(1, len(pixels))]
    return bytes(cv2.imencode(rng.choice((".jpg", ".bmp", ".tif", ".webp")), pixels)[1].tobytes())


def no_image(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", b"\x89PNG", b"GIF89a" + data[6:], b"image,class\n", bytes(len(data)),
                       b"II*\0", b"BM", b"\xff\xd8\xff\xd9", rng.randbytes(300)))  # fmt: skip


def redrawn(rng: random.Random, data: bytes) -> bytes:
    """A mask, or image, that is a right PNG of wrong content."""
    try:
        values = decode_values(data, "x").copy()
    except SegtrailError:
        return b"damaged already"
    what = rng.randrange(7)
    if what == 0:
        values[...] = 0
    elif what == 1:
        values = values[: max(1, len(values) // 2)]
    elif what == 2:
        values = np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values[..., 0]
        values[..., -1] ^= 3
    elif what == 3:
        values = values.astype(np.uint16) * 257
    elif what == 4:
        values[rng.randrange(values.shape[0])] = 77
    elif what == 5:
        values = values[:1, :1]
    else:
        values = values[::-1]
    return encode_png(np.ascontiguousarray(values))


IMAGE: tuple[Callable[[random.Random, bytes], bytes], ...] = (other_format, no_image, redrawn)


def damage_files(rng: random.Random, files: Files) -> str:
    """Damages one file, or what files there are; returns how."""
    name = rng.choice(sorted(files))
    data = bytearray(files[name])
    what = rng.randrange(10)
    if what == 0:
        structure = rng.randrange(4)
        if structure == 0:
            del files[name]
        elif structure == 1:
            files[name + rng.choice((".png", " ", "\u0301", "\u202e", "\x07", "é"))] = files.pop(
                name
            )
        elif structure == 2:
            other = rng.choice(sorted(files))
            files[name], files[other] = files[other], files[name]
        else:
            files[name.upper()] = files[name]
        return f"structure {structure} of {name}"
    if what == 1 and data.startswith(b"\x89PNG"):
        files[name] = png_with_right_checksums(rng, bytes(data))
        return f"chunks of {name}"
    if what <= 4:
        image = rng.choice(IMAGE)
        files[name] = image(rng, bytes(data))
        return f"{image.__name__} {name}"
    harm = rng.choice(ANY)
    harm(rng, data)
    files[name] = bytes(data)
    return f"{harm.__name__} {name}"


# Packing, and damage to archives


def pack(path: Path, kind: str, files: Files) -> None:
    if kind == "folder":
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for name, data in files.items():
                z.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    else:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as t:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))
        packed = gzip.compress(raw.getvalue(), 1, mtime=0) if kind == "tar.gz" else raw.getvalue()
        path.write_bytes(packed)


def damage_zip(rng: random.Random, data: bytearray) -> str:
    """Changes a field of a local header, of the directory or of its end."""
    signature, fields = rng.choice((
        (b"PK\x03\x04", (4, 6, 8, 14, 18, 22, 26, 28, 30)),
        (b"PK\x01\x02", (4, 6, 8, 10, 16, 20, 24, 28, 30, 32, 34, 38, 42, 46)),
        (b"PK\x05\x06", (4, 6, 8, 10, 12, 16, 20)),
    ))  # fmt: skip
    places = [i for i in range(len(data)) if data.startswith(signature, i)]
    at, width = rng.choice(places) + rng.choice(fields), rng.choice((2, 4))
    near = int.from_bytes(data[at : at + width], "little") + rng.choice((-1, 1, 17, 1 << 15))
    value = rng.choice((near, rng.choice(EDGES))) & (1 << 8 * width) - 1
    data[at : at + width] = value.to_bytes(width, "little")
    return f"zip field at {at}"


def damage_tar(rng: random.Random, data: bytearray) -> str:
    """Changes a field of a member's header; the header's checksum holds, mostly."""
    places = [i - 257 for i in range(257, len(data), 512) if data.startswith(b"ustar", i)]
    at = rng.choice(places)
    field, width = rng.choice(((0, 5), (100, 8), (124, 12), (156, 1), (157, 9), (345, 4)))
    if field == 156:
        content = rng.choice((b"0", b"1", b"2", b"3", b"5", b"6", b"L", b"x", b"g", b"S", b"Z"))
    elif field == 124:
        content = rng.choice((b"77777777777\0", b"00000000000\0", b"00000001001\0",
                              b"\x80" + bytes(7) + b"\xff" * 4, b"\xff" * 12, b"zzz"))  # fmt: skip
    else:
        content = rng.choice((b"../", b"/etc", b"\0\0\0", b"\xff\xfe", rng.randbytes(width)))
    data[at + field : at + field + len(content)] = content
    if rng.random() < 0.9:
        head = data[at : at + 512]
        head[148:156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(head)
    return f"tar field {field} at {at}"


def damage_archive(rng: random.Random, kind: str, path: Path) -> str:
    data = bytearray(path.read_bytes())
    inside = kind == "tar" or (kind == "tar.gz" and rng.random() < 0.5)
    if kind == "tar.gz" and inside:
        data = bytearray(gzip.decompress(data))
    if rng.random() < 0.5 and (inside or kind == "zip"):
        how = damage_zip(rng, data) if kind == "zip" else damage_tar(rng, data)
    else:
        harm = rng.choice(ANY)
        harm(rng, data)
        how = f"{harm.__name__} {kind}"
    path.write_bytes(gzip.compress(data, 1, mtime=0) if kind == "tar.gz" and inside else data)
    return how


# One case


def read_corpus(folder: Path) -> Files:
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def make(number: int, corpus: Path, scratch: Path) -> tuple[str, Path, str]:
    """Makes a damaged delivery; returns its layout, where it is, and what was done."""
    rng = random.Random(number)
    layout = sorted(LAYOUTS)[number % len(LAYOUTS)]
    kind = KINDS[number // len(LAYOUTS) % len(KINDS)]
    files = read_corpus(corpus / layout)
    path = scratch / f"case-{number}.{kind}"
    archive = kind != "folder" and rng.random() < 0.5
    how = "" if archive else damage_files(rng, files)
    pack(path, kind, files)
    if archive:
        how = damage_archive(rng, kind, path)
    return layout, path, f"{layout} {kind}: {'archive' if archive else 'files'}: {how}"


def take_in(layout: str, path: Path, scratch: Path) -> Files:
    """Goes the way of ingestion up to landing; returns what would land.

    Raises:
        DataError: It is refused.
    """
    adapter = adapter_for(LAYOUTS[layout])
    landed: Files = {}
    with open_source(path, LIMITS, scratch / "inflated") as source:
        source.sha256()
        problems = Problems(source.name)
        items = adapter.find(source, problems)
        intake.read_all(source, items, adapter, {}, problems, landed.__setitem__)
        problems.raise_if_any()
    return landed


def check_decodes(landed: Files) -> int:
    """Sees that all that would land is whole; returns how many images that are."""
    images = sorted(name for name in landed if name.startswith("images/"))
    masks = sorted(name for name in landed if name.startswith("masks/"))
    assert [n.partition("/")[2] for n in images] == [n.partition("/")[2] for n in masks]
    for image, mask in zip(images, masks, strict=True):
        size = decode_image(landed[image], image).shape[:2]
        assert read_labels(landed[mask], mask).shape == size
    return len(images)


def try_case(number: int, corpus: Path, scratch: Path) -> dict[str, object]:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    layout, path, how = make(number, corpus, scratch)
    names = {path.name, *read_corpus(corpus / layout)}
    out: dict[str, object] = {"case": number, "how": how}
    started = time.monotonic()
    try:
        out["landed"] = check_decodes(take_in(layout, path, scratch))
    except SegtrailError as e:
        out["refused"] = str(e)
        stems = {n.rpartition(".")[0] or n for n in names} | {n.upper() for n in names}
        out["names_a_file"] = any(part in str(e) for part in stems)
    except BaseException:
        out["crashed"] = traceback.format_exc()
    out["seconds"] = time.monotonic() - started
    return out


def main(corpus: Path, scratch: Path, results: Path, first: int, step: int, cases: int) -> None:
    cv2.setNumThreads(1)
    try_case(0, corpus, scratch)  # all is imported now
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with open(results, "w") as f:
        for number in range(first, cases, step):
            print(json.dumps(try_case(number, corpus, scratch)), file=f, flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:7]))
