"""The ledger's chain shows every change, and survives crashes and crowds."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import ledger
from segtrail import files, git
from segtrail.errors import LineageError

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(ledger.EVENTS),
        st.one_of(st.none(), st.integers(1, 99)),
        st.text(max_size=12),
        st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3),
    ),
    min_size=1,
    max_size=6,
)


def content_of(events: list) -> bytes:
    """Returns the bytes of a ledger with these events, chained."""
    lines: list[bytes] = []
    for seq, (event, version, by, details) in enumerate(events, 1):
        previous = hashlib.sha256(lines[-1]).hexdigest() if lines else ledger.FIRST
        entry = ledger.Entry(
            seq,
            previous,
            "2026-01-01T00:00:00+00:00",
            event,
            "demo",
            version,
            "a" * 64,
            by,
            details,
        )
        lines.append(ledger.encode(entry))
    return b"".join(line + b"\n" for line in lines)


def add(path: Path, event: str, version: int | None) -> ledger.Entry:
    return ledger.append(path, event, version=version, model_digest="a" * 64, by="Ada")


@given(EVENTS)
def test_a_ledger_reads_back_and_verifies(events: list) -> None:
    content = content_of(events)
    assert ledger.check(content) == []
    entries = ledger.parse(content)
    assert [(e.event, e.version, e.by, e.details) for e in entries] == events


@given(EVENTS, st.data())
def test_any_change_before_the_last_line_is_found(events: list, data: st.DataObject) -> None:
    content = content_of([*events, ("done", 1, "Ada", {})])
    last = content[:-1].rfind(b"\n") + 1
    at = data.draw(st.integers(0, last - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    problems = ledger.check(bytes(changed))
    assert problems
    assert problems[0].startswith("line ")


@given(EVENTS, st.data())
def test_a_line_taken_out_or_moved_is_found(events: list, data: st.DataObject) -> None:
    lines = content_of([*events, ("intent", 1, "a", {}), ("done", 1, "b", {})]).splitlines(True)
    at = data.draw(st.integers(0, len(lines) - 2))
    assert ledger.check(b"".join(lines[:at] + lines[at + 1 :]))
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    assert ledger.check(b"".join(lines))


def test_each_line_names_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "ledger" / "demo.jsonl"
    at = datetime(2026, 3, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    ledger.append(
        path, "intent", version=1, model_digest="a" * 64, by="Ada", details={"b": 1}, at=at
    )
    add(path, "done", 1)
    first, second = (json.loads(line) for line in path.read_bytes().splitlines())
    assert first["previous"] == "0" * 64
    assert second["previous"] == hashlib.sha256(path.read_bytes().splitlines()[0]).hexdigest()
    assert (first["seq"], second["seq"], first["recipe"]) == (1, 2, "demo")
    assert first["at"] == "2026-03-01T12:30:00+00:00"
    assert datetime.fromisoformat(second["at"]).tzinfo == UTC


def test_who_did_it_is_the_git_identity_by_default(tmp_path: Path) -> None:
    git.run(tmp_path, "init", "--quiet")
    git.run(tmp_path, "config", "user.name", "Ada")
    git.run(tmp_path, "config", "user.email", "ada@example.org")
    path = tmp_path / "ledger" / "demo.jsonl"
    entry = ledger.append(path, "rejected", version=None, model_digest="a" * 64)
    assert entry.by == "Ada <ada@example.org>"


def test_an_edited_ledger_is_not_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "demo.jsonl"
    add(path, "intent", 1)
    add(path, "done", 1)
    edited = path.read_bytes().replace(b'"version": 1', b'"version": 2', 1)
    path.write_bytes(edited)
    assert ledger.verify(path) == [
        f"line 2: names {ledger.parse(edited)[1].previous[:12]} as the line before it, which is "
        f"{hashlib.sha256(edited.splitlines()[0]).hexdigest()[:12]}"
    ]
    with pytest.raises(LineageError, match="line 2"):
        add(path, "intent", 2)
    assert path.read_bytes() == edited


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{}\n", "line 1: expected the fields at, by"),
        (b"[1]\n", "found list"),
        (b"nonsense\n", "line 1: not JSON"),
        (b"\xff\xfe\n", "line 1: not JSON"),
        (content_of([("done", 1, "Ada", {})])[:-1], "line 1: has no newline"),
        (content_of([("done", 1, "Ada", {})])[:-20], "line 1: has no newline"),
        (content_of([("done", 1, "Ada", {})]) + b"\n", "line 2: not JSON"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "demo.jsonl"
    path.write_bytes(content)
    assert says in "\n".join(ledger.verify(path))
    with pytest.raises(LineageError):
        add(path, "done", 1)


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    assert ledger.read(tmp_path / "demo.jsonl") == []
    assert "not there" in ledger.verify(tmp_path / "demo.jsonl")[0]


def test_a_crash_in_the_middle_of_a_write_leaves_the_old_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "demo.jsonl"
    add(path, "intent", 1)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", _die)
        with pytest.raises(KeyboardInterrupt):
            add(path, "done", 1)
    assert path.read_bytes() == before
    (tmp_path / ".demo.jsonl.k1ll3d.tmp").write_text("half a l")
    add(path, "done", 1)
    assert ledger.verify(path) == []
    assert list(tmp_path.iterdir()) == [path]


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "demo.jsonl"
    code = (
        "import sys; from pathlib import Path; from lineage import ledger\n"
        "for i in range(5): ledger.append(Path(sys.argv[1]), 'rejected', version=None, "
        "model_digest=sys.argv[2], by='x')"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(path)]
    processes = [subprocess.Popen([*command, f"{i}" * 64], cwd=root) for i in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: add(path, "intent", i + 1), range(10)))
    assert [process.wait() for process in processes] == [0, 0]
    assert ledger.verify(path) == []
    assert len(ledger.read(path)) == 20


def test_what_serves_and_what_was_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "demo.jsonl"
    assert ledger.champion(ledger.read(path)) is None
    open_versions, champions = [], []
    walk = [
        ("intent", 1), ("done", 1), ("rejected", None), ("intent", 2), ("rejected", None),
        ("failed", 2), ("intent", 3), ("abandoned", 3), ("intent", 3), ("done", 3),
    ]  # fmt: skip
    for event, version in walk:
        add(path, event, version)
        entries = ledger.read(path)
        intent, last = ledger.open_intent(entries), ledger.champion(entries)
        open_versions.append(intent and intent.version)
        champions.append(last and last.version)
    assert open_versions == [1, None, None, 2, 2, None, 3, None, 3, None]
    assert champions == [None, 1, 1, 1, 1, 1, 1, 1, 1, 3]


def test_an_unknown_event_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="blessed"):
        add(tmp_path / "demo.jsonl", "blessed", 1)


def _die(*args: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("was", "now"), [('"by": "Ada"', '"by": 3'), ('"seq": 1', '"seq": NaN'), ("{}", "[]")]
)
def test_a_value_of_another_kind_is_told_and_no_crash(tmp_path: Path, was: str, now: str) -> None:
    path = tmp_path / "demo.jsonl"
    add(path, ledger.DONE, 1)
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))
    (problem,) = ledger.verify(path)
    assert problem.startswith("line 1: ")
