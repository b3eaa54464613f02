"""Servers that others keep data on, for tests: each on loopback and for the time of the tests."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.launch import free_port

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def server(
    command: list[str],
    port: int,
    log: Path,
    seconds: float = 60,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> Iterator[None]:
    """Runs a server until the block ends; starts the block once it answers."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, user=user
        )
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"{command[0]} did not answer in {seconds} s: {log.read_text()}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Ssh:
    """An SSH server.

    Attributes:
        port: On 127.0.0.1.
        user: Who may log in.
        key: The private key that lets them in.
        known_hosts: Names the server's key.
        folder: Where files may be put.
    """

    port: int
    user: str
    key: Path
    known_hosts: Path
    folder: Path

    def tunnel(self, port: int, known_hosts: Path) -> list[str]:
        """Returns the command that forwards a local port to the server, once it has shown
        that it has the key in `known_hosts`."""
        options = {
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ExitOnForwardFailure": "yes",
        }
        said = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return [
            "ssh", "-F", "none", "-N", *said, "-i", str(self.key), "-p", str(self.port),
            "-L", f"127.0.0.1:{port}:127.0.0.1:{self.port}", f"{self.user}@127.0.0.1",
        ]  # fmt: skip


def make_key(path: Path) -> str:
    """Makes a key pair; returns the public one."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


@contextlib.contextmanager
def running_ssh(base: Path) -> Iterator[Ssh]:
    """Runs OpenSSH's server with keys of its own; skips the test where it is not installed."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("OpenSSH is not installed: tests/install_system.sh")
    pytest.importorskip("dvc_ssh")
    if os.geteuid() == 0:  # where sshd locks itself in before somebody has logged in
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host, client = make_key(base / "host"), make_key(base / "client")
    port = free_port()
    (base / "known_hosts").write_text(f"[127.0.0.1]:{port} {host}")
    (base / "authorized_keys").write_text(client)
    (base / "files").mkdir()
    (base / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {base / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {base / 'authorized_keys'}\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    command = [SSHD, "-D", "-e", "-f", str(base / "sshd_config")]
    with server(command, port, base / "sshd.log"):
        yield Ssh(port, getpass.getuser(), base / "client", base / "known_hosts", base / "files")


@contextlib.contextmanager
def running_postgres(databases: Sequence[str]) -> Iterator[str]:
    """Runs PostgreSQL with empty databases; yields `user:password@host:port`.

    It refuses to be root: root starts it as `postgres`, whom its package makes.
    """
    pytest.importorskip("psycopg2")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    binary = str(found[-1]) if found else shutil.which("postgres")
    if binary is None:
        pytest.skip("PostgreSQL is not installed: tests/install_system.sh")
    user = "postgres" if os.geteuid() == 0 else None
    port, password = free_port(), "a-secret-word"
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        base, data = Path(folder), Path(folder) / "data"
        (base / "password").write_text(password)
        if user:
            for path in (base, base / "password"):
                shutil.chown(path, user)
        made = ["initdb", "-D", str(data), "-U", "tester", "-A", "scram-sha-256", "--no-sync"]
        made[0] = str(Path(binary).with_name("initdb"))
        made += ["--pwfile", str(base / "password")]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd=base)
        command = [binary, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"]
        with server(command, port, base / "log", user=user):
            place = f"tester:{password}@127.0.0.1:{port}"
            with contextlib.closing(_connected(f"postgresql://{place}/postgres")) as connection:
                connection.autocommit = True
                for name in databases:
                    connection.cursor().execute(f"CREATE DATABASE {name}")
            yield place


def _connected(address: str) -> Any:
    """Connects to PostgreSQL, which listens before it lets anybody in."""
    import psycopg2

    end = time.monotonic() + 60
    while True:
        try:
            return psycopg2.connect(address)
        except psycopg2.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def running_s3(base: Path) -> Iterator[str]:
    """Runs moto's S3 server; yields its address, with credentials in the environment."""
    pytest.importorskip("dvc_s3")
    pytest.importorskip("moto.server")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with pytest.MonkeyPatch.context() as patch, server(command, port, base / "moto.log"):
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            (base / name).touch()
            patch.setenv(name, str(base / name))
        yield f"http://127.0.0.1:{port}"
