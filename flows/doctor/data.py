"""The section `DVC`: the data, DVC's cache, its remote, and what champions were made from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from flows.doctor.findings import Finding, State, ok
from flows.doctor.here import Here
from flows.stages import DATA
from lineage import data_version, dvc_files, ledger
from segtrail import tombstones
from segtrail.errors import LineageError
from segtrail.secrets import without_password
from segtrail.workspace import Workspace


def cache(here: Here) -> Iterator[Finding]:
    """Tells whether DVC is there, and its cache."""
    workspace = here.workspace
    if not (workspace.root / ".dvc").is_dir():
        yield Finding(State.NOT_SET_UP, f"{workspace.root}: not a DVC repository", "dvc init")
        return
    folder = here.dvc.cache
    if not folder.is_dir():
        yield Finding(
            State.NOT_SET_UP,
            f"the cache {folder} is not there; the first delivery makes it",
            "dvc pull" if here.dvc.remote else "segtrail ingest SOURCE --dataset NAME",
        )
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            State.BROKEN, f"the cache {folder} cannot be written", f"chmod u+rwx {folder}"
        )
    else:
        yield ok(f"cache: {folder}")


def checked_out(here: Here) -> Iterator[Finding]:
    """Tells whether `data/` has the files that `data.dvc` names; their content is not read."""
    workspace = here.workspace
    recorded = workspace.root / DATA
    if not recorded.exists() or dvc_files.EMPTY_FOLDER in recorded.read_text(encoding="utf-8"):
        ingest = "segtrail ingest SOURCE --dataset NAME"
        yield Finding(State.NOT_SET_UP, "nothing was ingested yet", ingest)
        return
    how = f"dvc checkout {DATA}   (with a remote: dvc pull {DATA})"
    if not workspace.data.is_dir():
        yield Finding(State.WARNING, f"data/ is not there; {DATA} says what belongs there", how)
        return
    try:
        md5 = str(yaml.safe_load(recorded.read_text(encoding="utf-8"))["outs"][0]["md5"])
    except (yaml.YAMLError, ValueError, LookupError, TypeError):
        what = f"{DATA}: not as DVC writes it"
        yield Finding(State.BROKEN, what, f"git checkout {DATA}")
        return
    try:
        listing = dvc_files.read_listing(_md5_folder(here), md5)
    except dvc_files.MissingError:
        yield Finding(
            State.WARNING, f"the cache lacks the listing of data/ ({md5[:12]})", "dvc fetch"
        )
        return
    lacking = [name for name in listing if not (workspace.data / name).exists()]
    if lacking:
        what = f"data/ lacks {len(lacking)} of {len(listing)} files, such as {lacking[0]}"
        yield Finding(State.BROKEN, what, how)
    else:
        yield ok(f"data/ has the {len(listing)} files of {DATA} ({md5[:12]})")


def remote(here: Here) -> Iterator[Finding]:
    """Tells whether the default remote answers."""
    workspace = here.workspace
    if not (workspace.root / ".dvc").is_dir():
        return
    said = here.dvc
    if said.remote is None:
        what = "no remote: data and models are in this machine's cache alone"
        yield Finding(
            State.NOT_SET_UP, what, "dvc remote add --default NAME URL   (docs/remotes.md)"
        )
        return
    name = f"the remote {said.remote} ({without_password(said.url)})"
    if said.fails is None:
        yield ok(f"{name} answers")
    else:
        what = f"{name} does not answer: {without_password(said.fails)}"
        yield Finding(State.WARNING, what, "dvc remote list   (docs/remotes.md)")


def champions(here: Here) -> Iterator[Finding]:
    """Tells which files the cache lacks of those that the champions were made from."""
    workspace = here.workspace
    for recipe in workspace.ledgers():
        champion = ledger.champion(ledger.read(workspace.ledger(recipe)))
        if champion is None:
            continue
        tag = f"refs/tags/{recipe}/v{champion.version}"
        lacking = _lacking(here, tag, recipe)
        name = f"{recipe} v{champion.version}"
        if not lacking:
            yield ok(f"the cache has all that {name} was made from")
            continue
        fetch = " --fetch" if here.dvc.remote else ""
        yield Finding(
            State.WARNING,
            f"the cache lacks {len(lacking)} files that {name} was made from, such as {lacking[0]}",
            f"segtrail audit {recipe}{fetch}",
        )


def left_lock(here: Here) -> Iterator[Finding]:
    """Tells of DVC's list of who reads and writes what, where a killed process stands in it."""
    workspace = here.workspace
    import psutil

    path = workspace.root / ".dvc" / "tmp" / "rwlock"
    remove = f"rm {path}   (while no DVC command runs)"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        holders = [*held.get("write", {}).values()]
        holders += [each for readers in held.get("read", {}).values() for each in readers]
        commands = {int(each["pid"]): str(each["cmd"]) for each in holders}
    except FileNotFoundError:
        return
    except (ValueError, LookupError, TypeError, AttributeError):
        yield Finding(State.BROKEN, f"{path}: cut off; DVC refuses every command", remove)
        return
    written = path.stat().st_mtime
    for pid, command in sorted(commands.items()):
        try:
            begun = psutil.Process(pid).create_time()
        except psutil.Error:
            yield Finding(
                State.WARNING,
                f"DVC's process {pid} ({command}) was killed and left its lock; DVC takes it for "
                "free, but what that command did is half-done",
                "segtrail status   (then that command again)",
            )
            continue
        if begun > written + 1:  # the number was given away again, which DVC cannot tell
            what = (
                f"DVC waits for process {pid} ({command}), which was killed; another has its number"
            )
            yield Finding(State.BROKEN, what, remove)
        else:
            yield ok(f"a DVC command is at work: process {pid} ({command})")


def _lacking(here: Here, tag: str, recipe: str) -> list[str]:
    """Returns what of a version's data and stage outputs is neither cached nor erased."""
    root, folder = here.workspace.root, _md5_folder(here)
    locked = dvc_files.lock_at(root, tag, recipe)
    wanted = {str(o["path"]): str(o["md5"]) for s in locked.stages.values()
              for o in s.get("outs", [])}  # fmt: skip
    wanted["data"] = data_version.data_md5_at(root, tag)
    dataset = locked.dataset()
    of_dataset = f"{dataset[0]}/" if dataset else ""
    lacking, graves = [], _erased(here.workspace)
    for path, md5 in wanted.items():
        files = {path: md5}
        if md5.endswith(dvc_files.DIR):
            try:
                listing = dvc_files.read_listing(folder, md5)
            except LineageError:
                lacking.append(path)
                continue
            files = {f"{path}/{name}": each for name, each in listing.items()
                     if path != "data" or name.startswith(of_dataset)}  # fmt: skip
        lacking += [
            name for name, each in files.items()
            if each not in graves and not dvc_files.object_path(folder, each).exists()
        ]  # fmt: skip
    return lacking


def _erased(workspace: Workspace) -> set[str]:
    rows = (row for path in workspace.data.glob(f"*/{tombstones.TOMBSTONES}")
            for row in tombstones.parse(path.read_bytes(), str(path)))  # fmt: skip
    return set(tombstones.by_md5(rows))


def _md5_folder(here: Here) -> Path:
    return here.dvc.cache / "files" / "md5"


CHECKS = (cache, checked_out, remote, champions, left_lock)
