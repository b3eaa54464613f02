"""Data goes to a remote and comes back: a folder, a real SSH server, an S3 server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from remote_servers import Ssh, make_key, running_s3, running_ssh, server

from components.erase import erase
from components.ingest import ingest
from components.ingestion import versioning
from lineage import data_version, dvc_remote
from segtrail import faults, git
from segtrail.errors import UnreachableError, WorkspaceError
from segtrail.files import tree_digests
from segtrail.images import encode_png
from segtrail.workspace import Workspace
from serving.launch import free_port

PARAMS = """
datasets:
  cells:
    adapter: dsb2018
    licence: CC0-1.0
    masks: instances
    classes: [nucleus]
    slices: {}
    splits: {}
recipes: {}
"""


class Lab:
    """A workspace with a remote, and deliveries to bring to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace(root, root)

    def ingest(self, images: str) -> None:
        folder = self.root.parent / f"delivery-{images}"
        for image in images:
            rng = np.random.default_rng(ord(image))
            mask = np.zeros((24, 32), np.uint8)
            mask[ord(image) % 12 :][:9, 3:12] = 255
            pixels = rng.integers(0, 60, mask.shape).astype(np.uint8) + mask // 2
            for kind, content in (("images", pixels), ("masks", mask)):
                path = folder / image / kind / f"{image}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode_png(content))
        ingest(self.workspace, "cells", folder)

    def dvc(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *args], cwd=self.root, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip

    def run(self, *args: str) -> None:
        done = self.dvc(*args)
        assert done.returncode == 0, done.stderr

    def wipe(self) -> None:
        """Loses all that is not in git or in the remote."""
        shutil.rmtree(self.root / ".dvc/cache")
        shutil.rmtree(self.root / "data")


@pytest.fixture(scope="session", autouse=True)
def _own_git_identity():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        patch.setenv("DVC_NO_ANALYTICS", "1")
        yield


@pytest.fixture(scope="module")
def _ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("remotes")
    lab = Lab(base / "workspace")
    lab.root.mkdir()
    (lab.root / "params.yaml").write_text(PARAMS)
    (lab.root / "dvc.yaml").write_text("stages: {}\n")
    (lab.root / ".gitignore").write_text("/data\n/.segtrail/\n")
    git.run(lab.root, "init", "--quiet")
    lab.run("init", "--quiet")
    git.commit(lab.root, ["."], "Start")
    lab.ingest("abc")
    return base


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    with running_ssh(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_s3(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def lab(_ingested: Path, tmp_path: Path) -> Lab:
    """A workspace with three images and no remote."""
    shutil.copytree(_ingested, tmp_path / "lab", symlinks=True)
    return Lab(tmp_path / "lab/workspace")


def check_round_trip(lab: Lab, stored: Callable[[], set[str]]) -> None:
    """Pushes and loses all; ingests on, which restores it; erases here and there.

    Args:
        lab: With a default remote.
        stored: Gives the md5 of the files in the remote.
    """
    before = tree_digests(lab.root / "data")
    version = data_version.at_commit(lab.root, "HEAD", "cells")
    lab.run("push")
    assert len(stored()) == len(set(version.files.values())) + 1
    lab.wipe()

    lab.ingest("d")
    now = tree_digests(lab.root / "data")
    assert now.items() >= {k: v for k, v in before.items() if k.endswith(".png")}.items()
    assert data_version.verify_bytes(lab.root, version.files).problems == []
    lab.run("push")
    full = stored()
    assert len(full) > len(version.files) + 1
    done = erase(lab.workspace, "cells", ["a"], reason="consent withdrawn")
    gone = {version.files[f"{kind}/a.png"] for kind in ("images", "masks")}
    assert full - stored() == gone
    assert [count for name, count in done.deleted.items() if name != "DVC's cache"] == [2]


def names(folder: Path) -> set[str]:
    """Returns the md5 of a remote's files."""
    return {f"{path.parent.name}{path.name}" for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_folder(lab: Lab, tmp_path: Path) -> None:
    lab.run("remote", "add", "--default", "store", str(tmp_path / "store"))
    check_round_trip(lab, lambda: names(tmp_path / "store"))
    lab.run("push")
    now = tree_digests(lab.root / "data")
    lab.wipe()
    versioning.restore(lab.workspace)
    assert tree_digests(lab.root / "data") == now


@pytest.mark.slow
def test_ssh_behind_a_tunnel_that_checks_the_host(lab: Lab, ssh: Ssh, tmp_path: Path) -> None:
    """DVC's own client takes any host key (see docs/remotes.md); OpenSSH's does not."""
    port = free_port()
    url = f"ssh://{ssh.user}@127.0.0.1:{port}{ssh.folder}"
    lab.run("remote", "add", "--default", "store", url)
    lab.run("remote", "modify", "--local", "store", "keyfile", str(ssh.key))
    with server(ssh.tunnel(port, ssh.known_hosts), port, tmp_path / "tunnel.log"):
        check_round_trip(lab, lambda: names(ssh.folder))
    assert lab.dvc("push").returncode != 0  # without the tunnel there is no way there


def test_a_tunnel_to_an_impostor_is_refused(ssh: Ssh, tmp_path: Path) -> None:
    other = tmp_path / "known_hosts"
    other.write_text(f"[127.0.0.1]:{ssh.port} {make_key(tmp_path / 'other')}")
    done = subprocess.run(
        ssh.tunnel(free_port(), other), capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode != 0
    assert "Host key verification failed" in done.stderr


@pytest.mark.slow
def test_s3(lab: Lab, s3: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(
        Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )

    def stored() -> set[str]:
        found = client.list_objects_v2(Bucket="data").get("Contents", [])
        return {"".join(item["Key"].split("/")[-2:]) for item in found}

    lab.run("remote", "add", "--default", "store", "s3://data/segtrail")
    lab.run("remote", "modify", "store", "endpointurl", s3)
    check_round_trip(lab, stored)
    done = erase(lab.workspace, "cells", ["b"], reason="consent withdrawn", dry_run=True)
    assert any("the remote 'store': if the bucket keeps versions" in x for x in done.remains)


def test_without_a_remote_what_is_lost_is_named(lab: Lab) -> None:
    lab.wipe()
    with pytest.raises(WorkspaceError, match="neither in DVC's cache nor in a remote"):
        versioning.restore(lab.workspace)


def test_a_remote_that_gives_no_answer_is_told_from_one_that_lacks_the_data(lab: Lab) -> None:
    """DVC itself says of both that the files are neither here nor there."""
    lab.run("remote", "add", "--default", "far", f"http://127.0.0.1:{free_port()}")
    lab.wipe()
    says = "the remote 'far' gives no answer: Connection refused"
    with pytest.raises(UnreachableError, match=says) as caught:
        versioning.restore(lab.workspace)
    assert faults.is_fault(caught.value)
    with pytest.raises(UnreachableError, match=says):  # as an audit asks: not checked, not broken
        dvc_remote.fetch(lab.workspace.root, ["a" * 32])
