"""What DVC's configuration says, from a process of its own: `python -m flows.doctor.dvc_answers`.

Prints one line of JSON: where the cache is, and whether the remote answers. No DVC repository is
opened, which would write: its configuration is read, and its remote's folder asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.environment import child_environment

REMOTE_S, _ALL_S = 6.0, 25.0


@dataclass(frozen=True)
class Answers:
    """What DVC says.

    Args:
        cache: The folder of the cache.
        remote: The name of the default remote; None where there is none.
        url: Where that is.
        fails: Why it does not answer, in its library's words; None where it does.
    """

    cache: Path
    remote: str | None = None
    url: str = ""
    fails: str | None = None


def ask(root: Path) -> Answers:
    """Returns what DVC's configuration says of the repository in `root`.

    Raises:
        RuntimeError: It cannot be read; the message has DVC's words.
    """
    from segtrail.secrets import without_secrets

    done = subprocess.run(
        [sys.executable, "-m", "flows.doctor.dvc_answers", str(root)], cwd=root, text=True,
        env=without_secrets(child_environment(root)), stdin=subprocess.DEVNULL,
        capture_output=True, timeout=_ALL_S, check=False,
    )  # fmt: skip
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(" ".join(done.stderr.split())[-300:]) from None
    return Answers(**{**said, "cache": Path(said["cache"])})


def _read(root: Path) -> dict[str, Any]:
    from dvc.config import Config

    config = Config(str(root / ".dvc"))
    found = {"cache": config["cache"].get("dir") or str(root / ".dvc" / "cache")}
    name = config["core"].get("remote")
    if name is None:
        return found
    url = str(config["remote"].get(name, {}).get("url", ""))
    return {**found, "remote": name, "url": url, "fails": _failure(config, name)}


def _failure(config: Any, name: str) -> str | None:
    """Returns why a remote does not answer; a thread asks, since its library may wait long."""
    import threading

    says: list[str | None] = [f"no answer in {REMOTE_S:.0f} s"]

    def look() -> None:
        try:
            from dvc.fs import get_cloud_fs

            kind, settings, path = get_cloud_fs(config, name=name)
            fs = kind(**settings)
            there = fs.isdir(path) if fs.protocol == "local" else fs.exists(path) or True
            says[0] = None if there else f"no folder {path}"
        except Exception as e:  # whatever a remote's own library raises
            says[0] = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(REMOTE_S)
    return says[0]


if __name__ == "__main__":
    import os

    print(json.dumps(_read(Path(sys.argv[1]))), flush=True)
    os._exit(0)  # a library that still waits for the remote does not hold this up
