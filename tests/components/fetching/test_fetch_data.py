"""Downloads from a real HTTP server that breaks, changes and misbehaves."""

from __future__ import annotations

import io
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.fetch_data import Fetched, fetch
from components.fetching.catalogue import CATALOGUE, PublicSet
from components.fetching.download import PIECE, PROGRESS, shown
from components.fetching.partial import Partial, mark_of
from components.ingestion.adapter import adapters
from segtrail.errors import ConfigError, DataError, WorkspaceError
from segtrail.files import sha256_bytes
from segtrail.params import load_params

BREAK = 18 * PIECE  # 294,912 bytes


def archive(seed: int = 1, kib: int = 700) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("image", np.random.default_rng(seed).bytes(kib << 10))
    return out.getvalue()


@pytest.fixture
def public(publisher) -> PublicSet:
    publisher.content = archive()
    return PublicSet("cells", "Cells", "cells.zip", "page", "CC0-1.0", "cite", publisher.url)


def get(public: PublicSet, folder: Path, **more: str) -> Fetched:
    fetched = fetch(public, folder, backoff_s=0.01, **more)
    assert fetched is not None
    return fetched


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_with_its_digest(publisher, public, tmp_path):
    fetched = get(public, tmp_path / "new")
    assert fetched.path.read_bytes() == publisher.content
    digest = sha256_bytes(publisher.content)
    assert fetched == Fetched(tmp_path / "new/cells.zip", digest, False, True)
    assert (tmp_path / "new/cells.zip.sha256").read_text() == f"{digest}  cells.zip\n"
    assert names(tmp_path / "new") == ["cells.zip", "cells.zip.sha256"]


def test_what_is_there_is_checked_and_not_fetched_again(publisher, public, tmp_path):
    first = get(public, tmp_path)
    again = get(public, tmp_path)
    assert (again.sha256, again.checked, again.downloaded) == (first.sha256, True, False)
    assert len(publisher.requests) == 1


def test_a_broken_connection_brings_only_the_rest(publisher, public, tmp_path):
    publisher.breaks = [BREAK, BREAK, None]
    get(public, tmp_path)
    assert publisher.sent == [BREAK, BREAK, len(publisher.content) - 2 * BREAK]
    asked = [request.get("Range") for request in publisher.requests]
    assert asked == [None, f"bytes={BREAK}-", f"bytes={2 * BREAK}-"]
    assert publisher.requests[1]["If-Range"] == '"one"'
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_a_break_within_a_piece_loses_no_more_than_that_piece(publisher, public, tmp_path):
    publisher.breaks = [BREAK + 5000, None]
    get(public, tmp_path)
    assert publisher.sent == [BREAK + 5000, len(publisher.content) - BREAK]


def test_another_run_goes_on_where_one_gave_up(publisher, public, tmp_path):
    publisher.breaks = [BREAK, 0, 0, 0, 0, 0]
    with pytest.raises(DataError, match="gave up after 6 attempts, with 294,912 bytes so far"):
        get(public, tmp_path)
    assert names(tmp_path) == ["cells.zip.part", "cells.zip.part.json"]
    get(public, tmp_path)
    assert publisher.sent[-1] == len(publisher.content) - BREAK
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_a_killed_download_goes_on(publisher, public, tmp_path):
    publisher.stall = BREAK
    script = (
        "import sys; from pathlib import Path; from components.fetch_data import fetch; "
        "from components.fetching.catalogue import PublicSet; "
        "fetch(PublicSet(*sys.argv[2:]), Path(sys.argv[1]))"
    )
    arguments = ["cells", "Cells", "cells.zip", "page", "CC0-1.0", "cite", publisher.url]
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), *arguments])
    part = Partial(tmp_path / "cells.zip")
    try:
        deadline = time.monotonic() + 60
        while part.size < BREAK and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    publisher.stall = 0
    publisher.released.set()
    get(public, tmp_path)
    assert publisher.sent == [len(publisher.content) - BREAK]
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_failures_count_anew_after_progress(publisher, public, tmp_path):
    publisher.breaks = [0, 0, 0, 0, PROGRESS, 0, 0, 0, 0, PROGRESS, None]
    get(public, tmp_path)
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_a_server_that_knows_no_ranges_starts_again_and_ends(publisher, public, tmp_path):
    publisher.ranges, publisher.breaks = False, [BREAK, None]
    get(public, tmp_path)
    assert publisher.sent == [BREAK, len(publisher.content)]
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_a_server_that_always_breaks_at_one_place_is_given_up(publisher, public, tmp_path):
    publisher.ranges, publisher.breaks = False, [BREAK] * 100
    with pytest.raises(DataError, match="gave up"):
        get(public, tmp_path)
    assert len(publisher.requests) < 10


@pytest.mark.parametrize("obeys", [True, False])
def test_a_file_that_changed_starts_again(publisher, public, tmp_path, obeys):
    publisher.breaks = [BREAK, 0, 0, 0, 0, 0]
    with pytest.raises(DataError, match="gave up"):
        get(public, tmp_path)
    publisher.content, publisher.etag = archive(seed=2), '"two"'
    publisher.obeys_if_range = obeys
    get(public, tmp_path)
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content
    assert publisher.sent[-1] == len(publisher.content)


def test_a_date_marks_a_version_too(publisher, public, tmp_path):
    publisher.etag, publisher.modified, publisher.breaks = "", 1.7e9, [BREAK, None]
    get(public, tmp_path)
    assert publisher.requests[1]["If-Range"] == publisher.mark()
    assert publisher.sent == [BREAK, len(publisher.content) - BREAK]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_mark_it_starts_again(publisher, public, tmp_path, etag):
    publisher.etag, publisher.breaks = etag, [BREAK, None]
    get(public, tmp_path)
    assert publisher.sent == [BREAK, len(publisher.content)]
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_a_part_of_another_address_is_not_gone_on_with(publisher, public, tmp_path):
    publisher.breaks = [BREAK, 0, 0, 0, 0, 0]
    with pytest.raises(DataError):
        get(public, tmp_path, url=f"{publisher.url}?token=1")
    get(public, tmp_path)
    assert "Range" not in publisher.requests[-1]


def test_a_part_that_is_whole_is_not_sent_again(publisher, public, tmp_path):
    part = Partial(tmp_path / "cells.zip")
    total = len(publisher.content)
    part.begin(publisher.url, {"ETag": '"one"'}, total)
    part.path.write_bytes(publisher.content)
    get(public, tmp_path)
    assert publisher.sent == []
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_a_damaged_record_or_a_longer_part_starts_again(publisher, public, tmp_path):
    part = Partial(tmp_path / "cells.zip")
    part.path.write_bytes(b"x" * 10)
    part.record.write_text("[")
    get(public, tmp_path / ".")
    assert publisher.sent == [len(publisher.content)]
    (tmp_path / "cells.zip").unlink()
    part.begin(publisher.url, {"ETag": '"one"'}, len(publisher.content))
    part.path.write_bytes(publisher.content + b"more")
    get(public, tmp_path)
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_a_busy_server_is_asked_again_after_what_it_says(publisher, public, tmp_path, capsys):
    publisher.statuses, publisher.headers = [503, 429], {"Retry-After": "0"}
    get(public, tmp_path)
    out = capsys.readouterr().out
    assert "503 Service Unavailable; trying again in 0.01 s" in out
    assert "429 Too Many Requests; trying again in 0.02 s" in out


@pytest.mark.parametrize(("status", "hint"), [(404, "--url"), (410, "--url"), (403, "access")])
def test_a_refusal_is_final(publisher, public, tmp_path, status, hint):
    publisher.statuses = [status]
    with pytest.raises(DataError, match=f"the server says {status}") as caught:
        get(public, tmp_path)
    assert hint in caught.value.hint
    assert len(publisher.requests) == 1
    assert names(tmp_path) == []


def test_no_network_is_said(publisher, public, tmp_path):
    with pytest.raises(DataError, match=r"failed: .*refused") as caught:
        get(public, tmp_path, url="http://127.0.0.1:9/file.zip")
    assert "goes on from here" in caught.value.hint
    with pytest.raises(DataError, match=r"failed: Failed to resolve 'no-such-host\.invalid'"):
        get(public, tmp_path, url="http://no-such-host.invalid/file.zip")


def test_another_digest_is_refused_and_not_kept(publisher, public, tmp_path):
    expected, found = "0" * 64, sha256_bytes(publisher.content)
    with pytest.raises(DataError, match=f"expected the SHA-256 {expected}, found {found}"):
        get(public, tmp_path, sha256=expected)
    assert names(tmp_path) == []
    assert get(public, tmp_path, sha256=found.upper()).checked


def test_the_recorded_digest_holds_the_next_time(publisher, public, tmp_path):
    get(public, tmp_path)
    (tmp_path / "cells.zip").unlink()
    before, publisher.content = publisher.content, archive(seed=3)
    with pytest.raises(DataError, match="when it was fetched first") as caught:
        get(public, tmp_path)
    assert f"rm {tmp_path / 'cells.zip.sha256'}" in caught.value.hint
    assert names(tmp_path) == ["cells.zip.sha256"]
    publisher.content = before
    assert get(public, tmp_path).checked


def test_a_changed_file_is_not_overwritten(publisher, public, tmp_path):
    get(public, tmp_path)
    (tmp_path / "cells.zip").write_bytes(b"mine")
    with pytest.raises(DataError, match="is there, and is not what it should be"):
        get(public, tmp_path)
    assert (tmp_path / "cells.zip").read_bytes() == b"mine"


def test_a_web_page_is_not_an_archive(publisher, public, tmp_path):
    publisher.content = b"<!DOCTYPE html><title>Moved</title>" * 100
    with pytest.raises(DataError, match=r"not a zip archive.*DOCTYPE"):
        get(public, tmp_path)
    assert names(tmp_path) == []


def test_a_full_disk_is_said_before(publisher, public, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(DataError, match="1 MiB are needed and 0 MiB are free"):
        get(public, tmp_path)
    assert names(tmp_path) == []


def test_a_file_that_cannot_grow_is_said_and_can_go_on(publisher, public, tmp_path):
    publisher.content = archive(kib=3000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        with pytest.raises(DataError, match="cannot be written after 2,097,152 bytes: File too"):
            get(public, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    get(public, tmp_path)
    assert publisher.requests[-1]["Range"] == f"bytes={2 << 20}-"
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_redirects_are_followed(publisher, public, tmp_path):
    publisher.redirect = publisher.path
    get(public, tmp_path, url=publisher.url.replace(publisher.path, "/moved"))
    assert (tmp_path / "cells.zip").read_bytes() == publisher.content


def test_two_downloads_of_one_file_do_not_mix(public, tmp_path):
    with (
        Partial(tmp_path / "cells.zip").lock(),
        pytest.raises(WorkspaceError, match="another download of this file is running"),
    ):
        get(public, tmp_path)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "cells.zip", "https://", "http://x/\udcff", ""]
)
def test_only_http_addresses(public, tmp_path, url):
    with pytest.raises(ConfigError, match="--url: expected https://"):
        get(public, tmp_path, url=url)


@pytest.mark.parametrize("url", ["http://a..b/x", f"http://{'a' * 64}/x", "http://127.0.0.1:x/y"])
def test_a_host_that_cannot_be_one_is_named(public, tmp_path, url):
    with pytest.raises(DataError, match=url[:12]):
        get(public, tmp_path, url=url)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "0" * 63])
def test_only_digests(public, tmp_path, digest):
    with pytest.raises(ConfigError, match="--sha256: expected 64"):
        get(public, tmp_path, sha256=digest)


def test_a_record_that_holds_no_digest_is_named(public, tmp_path):
    (tmp_path / "cells.zip.sha256").write_text("nonsense\n")
    with pytest.raises(DataError, match=r"cells\.zip\.sha256: expected a SHA-256"):
        get(public, tmp_path)


def test_secrets_in_an_address_are_not_shown(publisher, public, tmp_path, capsys):
    assert shown("https://me:secret@host:1/a.zip?token=secret") == "https://host:1/a.zip"
    publisher.breaks = [BREAK, 0, 0, 0, 0, 0]
    url = publisher.url.replace("http://", "http://me:secret@") + "?token=secret"
    with pytest.raises(DataError) as caught:
        get(public, tmp_path, url=url)
    said = str(caught.value) + capsys.readouterr().out
    said += "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert "secret" not in said


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    breaks=st.lists(st.one_of(st.none(), st.integers(0, 250_000)), max_size=4),
    etag=st.sampled_from(['"one"', "", 'W/"x"']),
    ranges=st.booleans(),
    changes=st.booleans(),
)
def test_whatever_happens_the_file_is_whole(publisher, tmp_path_factory, breaks, etag, ranges,
                                            changes):  # fmt: skip
    folder = tmp_path_factory.mktemp("fetch")
    publisher.content, publisher.etag, publisher.ranges = archive(kib=200), etag, ranges
    publisher.breaks = list(breaks)
    public = PublicSet("cells", "", "cells.zip", "", "", "", publisher.url)
    if changes:
        publisher.statuses, publisher.breaks = [], [*breaks[:1], 0, 0, 0, 0, 0, 0]
        try:
            fetch(public, folder, backoff_s=0)
        except DataError:
            publisher.content, publisher.breaks = archive(seed=9, kib=150), []
            publisher.etag = etag and etag.replace("one", "two").replace("x", "y")
    fetched = fetch(public, folder, backoff_s=0)
    assert fetched is not None
    content = fetched.path.read_bytes()
    if etag == '"one"' or not changes:
        assert content == publisher.content or (changes and content == archive(kib=200))
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    assert fetched.sha256 == sha256_bytes(content)


def test_nothing_is_downloaded_where_the_publisher_wants_to_be_asked(tmp_path):
    for item in CATALOGUE.values():
        assert item.url.startswith("https://") or item.ask
        assert item.page.startswith("https://")
        if not item.url:
            assert fetch(item, tmp_path) is None
    assert names(tmp_path) == []


def test_marks():
    assert mark_of({"ETag": '"a"', "Last-Modified": "b"}) == '"a"'
    assert mark_of({"ETag": 'W/"a"', "Last-Modified": "b"}) == "b"
    assert mark_of({}) is None


def test_licences_are_those_that_the_adapters_say():
    known = adapters()
    for item in CATALOGUE.values():
        assert item.licence == known[item.name].licence


def test_the_catalogue_names_datasets_of_params_yaml():
    known = load_params(Path(__file__).parents[3] / "params.yaml").datasets
    assert set(CATALOGUE) <= set(known)
