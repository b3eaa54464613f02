"""Links about the data: its version, its bytes, its deliveries and its splits."""

from __future__ import annotations

import csv
import io

from lineage import data_version, dvc_files, dvc_remote
from lineage.evidence import Evidence, rest_on, same
from lineage.gather import parse_deliveries
from lineage.link import NotChecked
from segtrail.errors import LineageError
from segtrail.files import sha256_bytes
from segtrail.words import counted

_READ = ("validation/result.json", "evaluation/metrics.json", "evaluation/per_image.parquet")


def fetched(e: Evidence) -> str:
    """What DVC's cache lacks of this version was brought from the remote, but what was erased."""
    data = data_version.data_md5_at(e.root, rest_on(lambda: e.commit))
    lock, paths = rest_on(lambda: e.lock), [e.byproduct(x)["annotations"]["path"] for x in _READ]
    found = {path: out for path in paths if (out := lock.find_output(path)) is not None}
    came = dvc_remote.fetch(e.root, [data, *(md5 for _, md5 in found.values())])
    files = set(e.tree.values())
    for path, (folder, md5) in found.items():
        if md5.endswith(dvc_files.DIR):
            files.add(dvc_files.read_listing(e.cache, md5)[path.removeprefix(f"{folder}/")])
    came += dvc_remote.fetch(e.root, files - data_version.erased_files(e.root).keys())
    return f"{came} files came from the remote" if came else "DVC's cache lacked nothing"


def versioned(e: Evidence) -> str:
    """`data.dvc` and `dvc.lock` at the commit name the same content of the dataset."""
    name = f"data/{e.dataset}"
    found = dvc_files.listing_md5(e.tree)
    item = e.dependency(name)["annotations"]
    same(f"{name} at the commit", found, item["dvc_md5"])
    same("data.dvc", data_version.data_md5_at(e.root, e.commit), item["data_dvc_md5"])
    used = rest_on(lambda: e.lock).dependents(name)
    if not used:
        raise LineageError(f"dvc.lock at the commit: no stage of {e.recipe} depends on {name}")
    for stage, md5 in used.items():
        same(f"what the stage {stage} read of {name}", md5, found, "data.dvc")
    return f"{name} is {found}, and is what the stage {', '.join(used)} read"


def rehashed(e: Evidence) -> str:
    """The bytes in DVC's cache are what their digests say."""
    if e.quick:
        raise NotChecked("left out of a quick audit")
    files = rest_on(lambda: e.tree)
    found = data_version.verify_bytes(e.root, files)
    if found.missing and len(found.missing) == len(found.problems) and not e.fetched:
        raise NotChecked(
            f"{len(found.missing)} of {len(files)} files are not in DVC's cache, such as "
            f"{found.missing[0]}{e.way_to_fetch}"
        )
    if found.problems:
        raise LineageError(f"{len(found.problems)} files: {found.problems[0]}")
    expected = e.dependency(f"data/{e.dataset}")["digest"]["sha256"]
    if found.sha256_root is not None:
        same("the SHA-256 root of the data", found.sha256_root, expected)
    if found.erased:
        raise NotChecked(_erased(found, len(files), expected))
    return f"{len(files)} files re-hashed, md5 and SHA-256; the root is {expected[:12]}"


def _erased(found: data_version.Rehash, files: int, root: str) -> str:
    """Says which bytes could not be re-hashed, and what holds nevertheless."""
    why: dict[str, set[str]] = {}
    for file in found.erased.values():
        row = file.row
        why.setdefault(f"{row.reason}, delivery {row.delivery}", set()).add(row.image)
    said = "; ".join(
        f"{len(images)} image{'' if len(images) == 1 else 's'} erased ({reason})"
        for reason, images in why.items()
    )
    rest = (
        "a tombstone does not know the digest of its file, so the root is not checked"
        if found.sha256_root is None
        else f"with the digests that the tombstones name, the root is {root[:12]}"
    )
    held = files - len(found.erased)
    return f"{said}: their bytes cannot be re-hashed; {held} of {files} files hold; {rest}"


def delivered(e: Evidence) -> str:
    """`deliveries.csv` and `splits.csv` of the data version are what the provenance names."""
    rows = parse_deliveries(e.data_file("deliveries.csv"))
    for row in rows:
        item = e.dependency(f"delivery/{row['delivery']}")
        what = f"the source archive of {row['delivery']}"
        same(what, row["source_sha256"], item["digest"]["sha256"])
    splits = e.data_file("splits.csv")
    expected = e.dependency("splits.csv")["digest"]["sha256"]
    same("the SHA-256 of splits.csv", sha256_bytes(splits), expected)
    images = _check_disjoint(splits)
    brought = counted(len(rows), "delivery", "deliveries")
    return f"{brought}; {images} images, each in one split only"


def _check_disjoint(splits: bytes) -> int:
    """Returns how many images there are, less those that were removed.

    Raises:
        LineageError: The same image content is in two splits.
    """
    seen: dict[str, str] = {}
    rows = list(csv.DictReader(io.StringIO(splits.decode())))
    for row in rows:
        if (split := seen.setdefault(row["sha256"], row["split"])) != row["split"]:
            raise LineageError(
                f"splits.csv: the image {row['image']} is in {row['split']} and in {split}"
            )
    return sum(not row.get("removed") for row in rows)
