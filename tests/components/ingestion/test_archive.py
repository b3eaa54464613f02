"""Sources that nobody vouches for: each is read whole, or refused with what is wrong named."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import stat
import struct
import tarfile
import tracemalloc
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from components.ingestion.archive import open_source
from segtrail.errors import DataError
from segtrail.files import sha256_file
from segtrail.settings.dataset import Limits

KINDS = ["folder", "zip", "tar", "tar.gz"]
PACKED = KINDS[1:]
TARS = KINDS[2:]
FILES = {
    "a/images/a.png": b"first" * 300,
    "a/masks/1.png": b"",
    "b/images/b.png": random.Random(1).randbytes(70_000),
    "table.csv": b"id\n",
}


def pack(path: Path, kind: str, files: dict[str, bytes] | Iterable[tuple[str, bytes]]) -> Path:
    """Writes files as a folder or an archive of one of `KINDS`."""
    items = list(files.items() if isinstance(files, dict) else files)
    if kind == "folder":
        for name, data in items:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, data in items:
                z.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as t:
            for name, data in items:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))
    return path


def refused(path: Path, **limits: int) -> str:
    """Opens a source and reads all of it; returns why that is refused."""
    with pytest.raises(DataError) as caught, open_source(path, Limits(**limits)) as source:
        for name in source.names:
            source.read(name)
    assert path.name in str(caught.value) or any(n in str(caught.value) for n in FILES)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_as_they_were_packed(tmp_path, kind):
    path = pack(tmp_path / "delivery", kind, FILES)
    with open_source(path) as source:
        assert source.names == sorted(FILES)
        assert {name: source.read(name) for name in source.names} == FILES
        assert source.name == "delivery"
        if kind != "folder":
            assert source.sha256() == sha256_file(path)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_read_what_is_there(tmp_path, kind):
    rng = random.Random(2)
    files = {f"{n:03d}.bin": rng.randbytes(rng.randrange(40_000)) for n in range(60)}
    with open_source(pack(tmp_path / "x", kind, files)) as source, ThreadPoolExecutor(8) as pool:
        names = [rng.choice(source.names) for _ in range(1000)]
        for name, data in zip(names, pool.map(source.read, names), strict=True):
            assert data == files[name]


@pytest.mark.parametrize("kind", PACKED)
def test_what_it_is_its_bytes_say(tmp_path, kind):
    for name in ("x.zip", "x.tar.gz", "x.tar", "x.dat"):
        with open_source(pack(tmp_path / name, kind, FILES)) as source:
            assert source.names == sorted(FILES)


def test_a_zip_behind_a_program_is_read(tmp_path):
    path = pack(tmp_path / "x.exe", "zip", FILES)
    path.write_bytes(b"MZ" + bytes(5000) + path.read_bytes())
    with open_source(path) as source:
        assert source.read("table.csv") == b"id\n"


@pytest.mark.parametrize("kind", KINDS)
def test_what_systems_leave_behind_is_left_out(tmp_path, kind):
    junk = ["a/.DS_Store", "__MACOSX/a/._a.png", "Thumbs.db", "a/._a.png", ".git/config"]
    files = FILES | dict.fromkeys(junk, b"x")
    with open_source(pack(tmp_path / "x", kind, files)) as source:
        assert source.names == sorted(FILES)


@pytest.mark.parametrize("kind", TARS)
@pytest.mark.parametrize("flavour", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_each_flavour_of_tar(tmp_path, kind, flavour):
    names = ["a" * 90 + "/" + "b" * 80 + ".png"]
    if flavour != tarfile.USTAR_FORMAT:
        names += ["c" * 300 + "/é漢字.png", "./d/../d.png".replace("/..", "")]
    path = tmp_path / "x"
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w", format=flavour) as t:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            t.addfile(info, io.BytesIO(b"abc"))
    with open_source(path) as source:
        assert source.names == sorted(n.removeprefix("./") for n in names)
        assert all(source.read(name) == b"abc" for name in source.names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [
        "снимок.png",
        "漢字 (2).png",
        "صورة.png",
        "चित्र.png",
        "é.png",
        "ä" * 50 + ".png",
        "می\u200cخواهم.png",  # noqa: RUF001
        "😀.png",
    ],
)
def test_names_of_any_script(tmp_path, kind, name):
    with open_source(pack(tmp_path / "x", kind, {f"ñ/{name}": b"1"})) as source:
        assert source.names == [f"ñ/{name}"]
        assert source.read(source.names[0]) == b"1"


def test_utf_8_in_a_zip_that_does_not_say_so(tmp_path):
    path = pack(tmp_path / "x.zip", "zip", {"snímek.png": b"1"})
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        data[data.index(signature) + flags] &= ~8
    path.write_bytes(bytes(data))
    with open_source(path) as source:
        assert source.names == ["snímek.png"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x\x1b[2J.png", "U+001B"),
        ("line\nbreak.png", "U+000A"),
        ("photo\u202egnp.exe", "U+202E"),  # shown as photoexe.png
        ("zero\u200bwidth.png", "U+200B"),
        ("\ufeffmark.png", "U+FEFF"),
        ("c1\x9b.png", "U+009B"),
        ("para\u2029graph.png", "U+2029"),
    ],
)
def test_names_that_deceive(tmp_path, kind, name, says):
    message = refused(pack(tmp_path / "x", kind, FILES | {f"d/{name}": b"1"}))
    assert says in message
    assert name not in message
    assert "1 problem" in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("twin", ["cafe\u0301.png", "caf\u200dé.png"])
def test_names_that_look_the_same(tmp_path, kind, twin):
    message = refused(pack(tmp_path / "x", kind, {"café.png": b"1", twin: b"2"}))
    assert "looks the same as" in message


@pytest.mark.parametrize("kind", TARS)
def test_a_name_that_is_not_utf_8_in_a_tar(tmp_path, kind):
    name = os.fsdecode(b"caf\xe9.png")
    path = tmp_path / "x"
    with tarfile.open(
        path,
        "w:gz" if kind == "tar.gz" else "w",
        format=tarfile.GNU_FORMAT,
        errors="surrogateescape",
    ) as t:
        t.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert r"'caf\udce9.png': its name is not UTF-8" in refused(path)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "/etc/evil.png",
        "a/../../evil.png",
        "a\\..\\evil.png",
        "C:/evil.png",
        "a/..",
        "//server/share",
    ],
)
def test_names_that_lead_outside(tmp_path, kind, name):
    message = refused(pack(tmp_path / "x", kind, FILES | {name: b"1"}))
    assert "unsafe name" in message
    assert repr(name) in message


@pytest.mark.parametrize("kind", PACKED)
def test_a_member_that_is_there_twice(tmp_path, kind):
    for twin in ("a/images/a.png", "a//images/./a.png"):
        path = pack(tmp_path / "x", kind, [*FILES.items(), (twin, b"2")])
        assert "a/images/a.png: is in the archive twice" in refused(path)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (tarfile.SYMTYPE, "is a symbolic link"),
        (tarfile.LNKTYPE, "is a hard link"),
        (tarfile.CHRTYPE, "neither a file nor a folder"),
        (tarfile.BLKTYPE, "neither a file nor a folder"),
        (tarfile.FIFOTYPE, "neither a file nor a folder"),
        (tarfile.GNUTYPE_SPARSE, "is sparse"),
        (b"V", "neither a file nor a folder"),
    ],
)
@pytest.mark.parametrize("packed", TARS)
def test_members_of_a_tar_that_are_no_files(tmp_path, kind, says, packed):
    path = tmp_path / "x"
    with tarfile.open(path, "w:gz" if packed == "tar.gz" else "w") as t:
        info = tarfile.TarInfo("a/masks/m2.png")
        info.type, info.linkname = kind, "/etc/passwd"
        t.addfile(info)
        t.addfile(tarfile.TarInfo("ok.png"))
    message = refused(path)
    assert says in message
    assert "a/masks/m2.png" in message


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_members_of_a_zip_that_are_no_files(tmp_path, mode):
    link = zipfile.ZipInfo("a/masks/m2.png")
    link.create_system, link.external_attr = 3, (mode | 0o777) << 16
    path = pack(tmp_path / "x.zip", "zip", FILES)
    with zipfile.ZipFile(path, "a") as z:
        z.writestr(link, "/etc/passwd")
    says = "symbolic link" if mode == stat.S_IFLNK else "neither a file nor a folder"
    assert f"a/masks/m2.png: is {'a ' * (mode == stat.S_IFLNK)}{says}" in refused(path)


def test_what_in_a_folder_is_no_file(tmp_path):
    folder = pack(tmp_path / "x", "folder", FILES)
    (folder / "link.png").symlink_to("/etc/hostname")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    message = refused(folder)
    for part in ("(link.png, loop): is a symbolic", "pipe.png: is neither a file"):
        assert part in message


@pytest.mark.parametrize("becomes", ["link", "pipe", "folder", "nothing", "large"])
def test_a_file_that_changes_after_it_was_looked_at(tmp_path, becomes):
    folder = pack(tmp_path / "x", "folder", FILES)
    file = folder / "table.csv"
    with open_source(folder, Limits(file_mib=1)) as source:
        file.unlink()
        if becomes == "link":
            file.symlink_to("/etc/hostname")
        elif becomes == "pipe":
            os.mkfifo(file)
        elif becomes == "folder":
            file.mkdir()
        elif becomes == "large":
            file.write_bytes(bytes(2 << 20))
        with pytest.raises(DataError, match=r"table\.csv: "):
            source.read("table.csv")


def test_an_encrypted_archive(tmp_path):
    path = pack(tmp_path / "x.zip", "zip", FILES)
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + flags] |= 1
    path.write_bytes(bytes(data))
    assert "a/images/a.png: is encrypted" in refused(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_a_bound_is_refused_unread(tmp_path, method):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("e/images/e.png", b"x")
    assert f"e/images/e.png: is compressed by method {method}" in refused(path)


@pytest.mark.parametrize(
    ("head", "called"), [(b"BZh91AY", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"Rar!\x1a\x07\0", "RAR")]
)
def test_other_archives_are_named(tmp_path, head, called):
    path = tmp_path / "x.tar"
    path.write_bytes(head + bytes(600))
    assert f"compressed by {called}; expected a zip archive" in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"this is no archive", id="text"),
        pytest.param(bytes(2000), id="zeros"),
        pytest.param(b"PK\3\4", id="head of a zip"),
        pytest.param(gzip.compress(b"no tar" * 200, mtime=0), id="packed text"),
    ],
)
def test_what_is_no_archive(tmp_path, content):
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    assert "not a" in refused(path)


@pytest.mark.parametrize("kind", PACKED)
def test_wherever_an_archive_is_cut_it_is_refused(tmp_path, kind):
    path = pack(
        tmp_path / "x", kind, {"a.png": b"a" * 700, "b.png": random.Random(1).randbytes(90)}
    )
    data = path.read_bytes()
    whole = len(data) if kind != "tar" else data.rindex(b"ustar") - 257 + 512 + 512 + 512
    for length in range(0, whole, 1 if kind != "tar" else 37):
        path.write_bytes(data[:length])
        refused(path)


def test_limit_of_files(tmp_path):
    for kind in KINDS:
        path = pack(tmp_path / kind, kind, FILES)
        assert "at most 3 are read" in refused(path, files=3)


@pytest.mark.parametrize("kind", KINDS)
def test_limit_of_a_file(tmp_path, kind):
    path = pack(tmp_path / "x", kind, {"big.bin": random.Random(1).randbytes(1 << 20) + b"x"})
    assert "big.bin: 1,048,577 bytes; at most 1,048,576 are read" in refused(path, file_mib=1)


def test_limit_of_all_bytes(tmp_path):
    folder = pack(tmp_path / "x", "folder", {})
    folder.mkdir()
    for n in range(3):
        with open(folder / f"{n}.bin", "wb") as f:
            f.truncate(400 << 20)  # a hole
    with pytest.raises(DataError, match="1,258,291,200 bytes; at most 1,073,741,824"):
        open_source(folder, Limits(total_gib=1))


def test_a_crowd_of_entries_takes_no_memory(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as z:
        for n in range(3000):
            z.writestr(f"{n}/", b"")
    tracemalloc.start()
    try:
        assert "more than 1,000 files" in refused(path, files=1000)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", TARS)
def test_a_crowd_of_bad_members_is_not_looked_at_to_its_end(tmp_path, kind):
    path = pack(tmp_path / "x", kind, [(f"../{n}", b"") for n in range(1500)])
    message = refused(path)
    assert "1001 problems" in message
    path = pack(tmp_path / "y", kind, [(f"{n}/.DS_Store", b"") for n in range(500)])
    assert "no more were looked at" in refused(path, files=100)


def peak_of(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_in_a_zip(tmp_path):
    path = pack(tmp_path / "x.zip", "zip", {"e.png": bytes(50 << 20)})
    message = refused(path)
    assert "e.png: unpacks to" in message
    assert "at most 100 times" in message
    with open_source(path, Limits(ratio=2000)) as source:
        assert len(source.read("e.png")) == 50 << 20


def test_a_bomb_in_a_tar_gz_is_not_inflated_far(tmp_path):
    path = pack(tmp_path / "x", "tar.gz", {"e.png": bytes(50 << 20)})
    assert "inflates to more than 100 times its size" in refused(path)
    assert peak_of(lambda: refused(path)) < 8 << 20


def test_a_tar_gz_leaves_nothing_behind(tmp_path):
    path = pack(tmp_path / "x", "tar.gz", FILES)
    with open_source(path, scratch=tmp_path / "scratch") as source:
        assert source.read("table.csv") == b"id\n"
        assert not any((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("size", [0, 4, 6, 1 << 20, (1 << 32) - 2])
@pytest.mark.parametrize("headers", ["local", "directory", "both"])
def test_a_zip_that_lies_about_sizes(tmp_path, size, headers):
    content = b"12345"
    path = pack(tmp_path / "x.zip", "zip", {"a/images/a.png": content})
    data = bytearray(path.read_bytes())
    local, directory = (b"PK\x03\x04", 22), (b"PK\x01\x02", 24)
    places = {"local": [local], "directory": [directory], "both": [local, directory]}
    for signature, offset in places[headers]:
        at = data.find(signature) + offset
        data[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(bytes(data))
    if headers == "local":  # the directory counts
        with open_source(path) as source:
            assert source.read("a/images/a.png") == content
        return
    message = refused(path)
    if size < 100:
        found = "more" if size < 5 else "5"
        assert f"expected {size} bytes by its header, found {found}" in message


def test_a_bomb_whose_header_lies_is_not_inflated(tmp_path):
    good, bomb = b"good" * 10, b"good" * 10 + bytes(60 << 20)
    path = pack(tmp_path / "x.zip", "zip", {"a/images/a.png": bomb})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        at = data.find(signature) + offset
        data[at : at + 4] = struct.pack("<I", zlib.crc32(good))
        data[at + 8 : at + 12] = struct.pack("<I", len(good))
    path.write_bytes(bytes(data))
    assert peak_of(lambda: refused(path)) < 2 << 20


def test_a_wrong_checksum(tmp_path):
    path = pack(tmp_path / "x.zip", "zip", FILES)
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 16] ^= 1
    path.write_bytes(bytes(data))
    assert "a/images/a.png: cannot be unpacked: its checksum is wrong" in refused(path)


def test_members_that_share_their_bytes(tmp_path):
    """The bomb without a high ratio: many names for the same packed bytes."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        z.writestr("a/images/a.png", bytes(9000))
        original = z.getinfo("a/images/a.png")
        for n in range(30):
            twin = zipfile.ZipInfo(f"a/masks/{n}.png")
            twin.header_offset, twin.CRC = original.header_offset, original.CRC
            twin.compress_size = twin.file_size = original.file_size
            z.filelist.append(twin)
            z.NameToInfo[twin.filename] = twin
    assert "members overlap" in refused(path)


def header(**fields: object) -> bytes:
    info = tarfile.TarInfo("a.png")
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(*records: bytes) -> bytes:
    content = b"".join(records)
    return header(type=tarfile.XHDTYPE, size=len(content)) + content.ljust(512, b"\0")


END = bytes(1024)


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (header(size=513) + bytes(512), "beyond the end"),
        (header(size=1 << 60) + END, "beyond the end"),
        (header(size=-512) + END, "-512"),
        (header(type=b"x", size=1 << 40) + END, "a header of 1,099,511,627,776 bytes"),
        (header(type=b"L", size=2 << 20) + bytes(2 << 20) + END, "a header of 2,097,152 bytes"),
        (pax(b"18 size=123456789\n") + header(size=0) + END, "beyond the end"),
        (pax(b"11 size=-1\n") + header() + END, "a size of b'-1'"),
        (pax(b"99 size=1\n") + header() + END, "PAX fields that are not readable"),
        (pax(b"0 size=1\n") + header() + END, "PAX fields that are not readable"),
        (pax(b"zz") + header() + END, "PAX fields that are not readable"),
        (pax(b"22 GNU.sparse.major=1\n") + header() + END, "sparse"),
        (header(), "without its end mark"),
        (header() + b"\1" * 512 + END, "not a readable tar archive: at byte 512"),
    ],
)
def test_tars_whose_headers_lie(tmp_path, archive, says):
    path = tmp_path / "x.tar"
    path.write_bytes(archive)
    assert says in refused(path)
    assert peak_of(lambda: refused(path)) < 4 << 20


def test_pax_fields_of_size_and_name_hold(tmp_path):
    path = tmp_path / "x.tar"
    fields = pax(b"10 size=3\n", b"14 path=ok.png\n"[:14].replace(b"14", b"15") + b"\n")
    path.write_bytes(fields + header(size=0) + b"abc".ljust(512, b"\0") + END)
    with open_source(path) as source:
        assert {name: source.read(name) for name in source.names} == {"ok.png": b"abc"}


def test_a_name_too_long_to_be_shown_is_still_a_name(tmp_path):
    path = pack(tmp_path / "x", "tar", {"d/" * 3000 + "a.png": b"1"})
    with open_source(path) as source:
        assert source.read(source.names[0]) == b"1"


_PART = st.text(
    st.characters(exclude_characters="/\\:", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")),
    min_size=1,
    max_size=8,
).filter(lambda part: part not in (".", "..") and not part.startswith("._"))
_NAME = st.lists(_PART, min_size=1, max_size=3).map("/".join)


@given(
    st.dictionaries(_NAME, st.binary(max_size=600), min_size=1, max_size=5), st.sampled_from(PACKED)
)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_files_come_back(tmp_path, files, kind):
    assume(len({unicodedata.normalize("NFC", name) for name in files}) == len(files))
    path = pack(tmp_path / "any", kind, files)
    with open_source(path) as source:
        assert {name: source.read(name) for name in source.names} == files


def test_an_archive_that_may_not_be_read(tmp_path, monkeypatch):
    path = pack(tmp_path / "x.zip", "zip", FILES)
    open_ = io.open

    def refuse(file, *args, **kwargs):  # root may read everything
        if file in (path, str(path)):
            raise PermissionError(13, "Permission denied", str(path))
        return open_(file, *args, **kwargs)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match=r"x\.zip: cannot be read: Permission denied"):
        open_source(path)


def test_a_source_whose_name_is_not_utf_8(tmp_path):
    path = pack(tmp_path / os.fsdecode(b"caf\xe9"), "folder", FILES)
    with pytest.raises(DataError, match=r"'caf\\udce9': its name is not UTF-8"):
        open_source(path)


def test_no_such_source(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        open_source(tmp_path / "nowhere.zip")


def test_the_digest_of_a_folder_is_of_its_files(tmp_path):
    one, other = (pack(tmp_path / n, "folder", FILES) for n in ("one", "other"))
    (other / ".DS_Store").write_bytes(b"junk")
    assert open_source(one).sha256() == open_source(other).sha256()
    (other / "table.csv").write_bytes(b"no\n")
    assert open_source(one).sha256() != open_source(other).sha256()
    lines = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(FILES.items())
    )
    assert open_source(one).sha256() == hashlib.sha256(lines.encode()).hexdigest()
