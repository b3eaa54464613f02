"""Images out of a bucket, with moto's S3 server."""

from __future__ import annotations

import pytest
from remote_servers import running_s3

from components.bucket import download
from segtrail.errors import ConfigError, DataError


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """Yields a function that puts a file into s3://seen."""
    import boto3

    (tmp_path / "s3").mkdir()
    with running_s3(tmp_path / "s3") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        client = boto3.client("s3")
        where = {"LocationConstraint": "eu-central-1"}
        client.create_bucket(Bucket="seen", CreateBucketConfiguration=where)
        yield client


def test_images_are_copied_and_those_that_left_the_bucket_go(bucket, tmp_path):
    for name, content in (("week/a.png", b"1"), ("week/deep/b.TIF", b"2"), ("week/notes.txt", b"")):
        bucket.put_object(Bucket="seen", Key=name, Body=content)
    target = tmp_path / "copy"
    assert download("s3://seen/week", target) == target
    first = {p.relative_to(target).as_posix(): p for p in target.rglob("*") if p.is_file()}
    assert {name: p.read_bytes() for name, p in first.items()} == {
        "a.png": b"1",
        "deep/b.TIF": b"2",
    }
    kept = first["deep/b.TIF"].stat().st_mtime_ns

    bucket.delete_object(Bucket="seen", Key="week/a.png")
    bucket.put_object(Bucket="seen", Key="week/c.png", Body=b"3")
    download("s3://seen/week", target)
    assert {p.name for p in target.rglob("*") if p.is_file()} == {"b.TIF", "c.png"}
    assert first["deep/b.TIF"].stat().st_mtime_ns == kept  # not copied again


def test_names_that_lead_outside_are_refused(bucket, tmp_path):
    bucket.put_object(Bucket="seen", Key="week/../../evil.png", Body=b"1")
    with pytest.raises(DataError, match="leads outside"):
        download("s3://seen/week", tmp_path / "in" / "copy")
    assert not (tmp_path / "evil.png").exists()


def test_a_bucket_without_images_says_so(bucket, tmp_path):
    with pytest.raises(DataError, match="no image there"):
        download("s3://seen/none", tmp_path / "copy")


def test_an_unknown_kind_of_address(tmp_path):
    with pytest.raises(ConfigError, match="gopher"):
        download("gopher://seen", tmp_path / "copy")
