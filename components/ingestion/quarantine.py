"""Keeps what could not land, with a report that says why."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.ingestion.adapter import Item
from components.ingestion.archive import Source
from components.ingestion.problems import Problem, Problems
from segtrail.errors import DataError
from segtrail.files import atomic_folder, read_json, sha256_bytes, write_bytes, write_json
from segtrail.workspace import Workspace

REPORT, PAGE = "report.json", "report.md"


def folder_for(workspace: Workspace, dataset: str, source: Source, sha256: str) -> Path:
    """Returns where the bad files of a delivery go: its name and digest tell it from others."""
    stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in source.name)[:64]
    return workspace.root / "quarantine" / dataset / f"{stem}-{sha256[:12]}"


def bad_images(problems: Problems) -> dict[str, list[Problem]]:
    """Returns the problems of each bad image.

    Raises:
        DataError: Something is wrong that is not about single images: nothing can land.
    """
    by_image: dict[str, list[Problem]] = {}
    for problem in problems:
        by_image.setdefault(problem.image, []).append(problem)
    if whole := by_image.pop("", []):
        _refuse(whole, by_image, problems.source)
    return by_image


def _refuse(
    whole: Sequence[Problem], by_image: Mapping[str, Sequence[Problem]], source: str
) -> None:
    """Names what concerns the whole delivery, and counts what is wrong with single images.

    Raises:
        DataError: Always.
    """
    named = Problems(source)
    for problem in whole:
        named.add(
            problem.where,
            f"{problem.what}; concerns the whole delivery, so nothing can be quarantined",
            problem.remedy,
        )
    try:
        named.raise_if_any()
    except DataError as e:
        if not by_image:
            raise
        count = len(by_image)
        images = f"{count} image{'' if count == 1 else 's'}"
        raise DataError(f"{e.message}\nand something is wrong with {images}", e.hint) from None


def keep(
    folder: Path,
    source: Source,
    sha256: str,
    items: Sequence[Item],
    erased: Collection[str],
    problems: Problems,
) -> list[str]:
    """Writes the files of the bad images and the report, whole or not at all.

    Args:
        folder: See `folder_for`; replaced if it is there.
        source: The delivery.
        sha256: Its digest.
        items: All that were found; an image may be bad without having become an item.
        erased: SHA-256 of files that are not kept, since they were erased.
        problems: What is wrong.

    Returns:
        The ids of the bad images.
    """
    bad = bad_images(problems)
    by_id = {item.id: item for item in items if item.id in bad}
    with atomic_folder(folder) as out:
        report: list[dict[str, Any]] = []
        for image, found in bad.items():
            kept, lost = _copy(source, by_id.get(image), found, erased, out)
            report.append(
                {
                    "image": image,
                    "problems": [
                        {"file": p.where, "says": p.what, "remedy": p.remedy} for p in found
                    ],
                    "files": kept,
                    "unreadable": lost,
                }
            )
        write_json(out / REPORT, {"source": source.name, "sha256": sha256, "images": report})
        write_bytes(out / PAGE, _page(source, sha256, report).encode())
    return list(bad)


def _copy(
    source: Source,
    item: Item | None,
    found: Sequence[Problem],
    erased: Collection[str],
    out: Path,
) -> tuple[list[str], list[str]]:
    known = set(source.names)
    names = dict.fromkeys([item.image, *item.masks] if item else [])
    names |= dict.fromkeys(problem.where for problem in found)
    kept, lost = [], []
    for name in names:
        if name not in known:
            continue
        try:
            content = source.read(name)
            if sha256_bytes(content) in erased:
                continue
            target = out / "files" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            kept.append(name)
        except (DataError, OSError):
            lost.append(name)
    return kept, lost


def _page(source: Source, sha256: str, report: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"# Not ingested from {source.name}",
        "",
        f"SHA-256 {sha256}. {len(report)} of its images stayed out; their files are in `files/`.",
        "Mend them and deliver them again.",
    ]
    for entry in report:
        lines += ["", f"## {entry['image']}", ""]
        lines += [
            f"- `{p['file']}`: {p['says']}" + (f" ({p['remedy']})" if p["remedy"] else "")
            for p in entry["problems"]
        ]
        lines += [f"- `{name}` could not be read" for name in entry["unreadable"]]
    return "\n".join(lines) + "\n"


def files_of(workspace: Workspace, dataset: str, images: Collection[str]) -> list[Path]:
    """Returns the files that are kept for some images, from whatever delivery."""
    root = workspace.root / "quarantine" / dataset
    found: set[Path] = set()
    for report in root.glob(f"*/{REPORT}"):
        files = report.parent / "files"
        try:
            entries = [e for e in read_json(report)["images"] if e["image"] in images]
            found |= {files / name for entry in entries for name in entry["files"]}
        except (ValueError, TypeError, KeyError):
            continue  # somebody changed the report
    return sorted(p for p in found if p.is_file() and p.resolve().is_relative_to(root.resolve()))


def forget(folder: Path) -> None:
    """Takes a quarantine away whose delivery has landed whole since."""
    shutil.rmtree(folder, ignore_errors=True)
