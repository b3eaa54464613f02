"""`segtrail fetch-data`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import publisher as publishing
import pytest
import typer

from cli.fetch_data import fetch_data
from segtrail.errors import ConfigError, DataError, WorkspaceError
from segtrail.files import sha256_bytes


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[publishing.Publisher]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a", "b")
    with publishing.serve() as it:
        it.content = out.getvalue()
        yield it


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    return tmp_path


def test_all_are_listed(capsys):
    fetch_data()
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:]}
    assert rows == {"dsb2018": "download", "wbc": "ask", "isbi2012": "ask", "drishti-gs": "ask"}


def test_a_download_says_what_is_next(publisher, root, capsys):
    fetch_data("dsb2018", url=publisher.url)
    out = capsys.readouterr().out
    assert (root / "downloads/stage1_train.zip").read_bytes() == publisher.content
    assert f"SHA-256 {sha256_bytes(publisher.content)}: not known before; recorded" in out
    assert "Licence: CC0-1.0" in out
    assert out.endswith(
        "Next:\n  segtrail ingest ../downloads/stage1_train.zip --dataset dsb2018\n"
    )
    fetch_data("dsb2018")
    out = capsys.readouterr().out
    assert "is here already" in out
    assert ": as expected" in out
    assert len(publisher.requests) == 1


def test_a_folder_with_a_space(publisher, root, capsys):
    fetch_data("dsb2018", url=publisher.url, to=Path("my data"))
    assert "segtrail ingest 'my data/stage1_train.zip'" in capsys.readouterr().out


def test_where_to_ask(root, capsys):
    with pytest.raises(typer.Exit) as caught:
        fetch_data("drishti-gs")
    assert caught.value.exit_code == 1
    out = capsys.readouterr().out
    for part in (
        "https://cvit.iiit.ac.in/", "register on the page", "Sivaswamy",
        "Save as:  ../downloads/Drishti-GS1_files.zip",
        "segtrail ingest ../downloads/Drishti-GS1_files.zip --dataset drishti-gs",
    ):  # fmt: skip
        assert part in out
    assert not (root / "downloads").exists()


def test_what_somebody_saved_is_taken(publisher, root, capsys):
    (root / "downloads").mkdir()
    path = root / "downloads/segmentation_WBC.zip"
    path.write_bytes(publisher.content)
    fetch_data("wbc")
    assert "is here already" in capsys.readouterr().out
    path.write_bytes(b"changed")
    with pytest.raises(DataError, match="is not what it should be"):
        fetch_data("wbc")
    path.with_name(f"{path.name}.sha256").unlink()
    path.write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"segmentation_WBC\.zip: not a zip archive"):
        fetch_data("wbc")
    assert not path.with_name(f"{path.name}.sha256").exists()


def test_what_was_changed_since_is_not_taken(publisher, root):
    fetch_data("dsb2018", url=publisher.url)
    (root / "downloads/stage1_train.zip").write_bytes(b"changed")
    with pytest.raises(DataError, match="is not what it should be"):
        fetch_data("dsb2018")


def test_a_name_that_is_not_known(root):
    with pytest.raises(ConfigError, match="Did you mean 'dsb2018'"):
        fetch_data("dsb2017")


def test_outside_of_a_workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match="no segtrail workspace"):
        fetch_data("wbc")
