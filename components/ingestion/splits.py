"""The split ledger: which image is for training, validation or test, decided once.

Rules, in this order:

1. An image keeps its split for good, also when a later delivery replaces its content. So no
   test image is ever trained on later.
2. Images with the same content are one group and share a split.
3. Within each cluster, new groups are dealt so that the cluster as a whole comes to the
   quotas: `round(n * test)` of its `n` groups to test, `round(n * validation)` to validation, at
   least one each from three groups on, test first; one is always left for training.
4. New groups are dealt in the order of `sha256("<seed>:<content sha256>")`: not by name, nor
   by the order of delivery.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path

from components.ingestion.problems import Problems
from segtrail.artifacts import SPLITS, TEST, TRAIN, VALIDATION
from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.recipe import Splits

LEDGER = "splits.csv"


@dataclass(frozen=True)
class Row:
    """One image of the ledger.

    Attributes:
        image: Its id.
        sha256: Of the image file.
        mask_sha256: Of the label file.
        group: Images of one group are never in different splits.
        cluster: By raster statistics; see `components.ingestion.clusters`.
        split: `train`, `validation` or `test`; empty until it is dealt.
    """

    image: str
    sha256: str
    mask_sha256: str
    group: str
    cluster: str
    split: str = ""


Ledger = dict[str, Row]
_COLUMNS = [f.name for f in fields(Row)]


def read(path: Path) -> Ledger:
    """Reads a ledger; one that is not there is empty.

    Raises:
        DataError: Not a split ledger.
    """
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as f:
        reader = csv.DictReader(f)
        if reader.fieldnames != _COLUMNS:
            raise DataError(
                f"{path}: expected the columns {', '.join(_COLUMNS)}; found {reader.fieldnames}",
                "restore it: dvc checkout data.dvc",
            )
        rows = [Row(**{name: row[name] or "" for name in _COLUMNS}) for row in reader]
    for row in rows:
        if row.split not in SPLITS:
            raise DataError(f"{path}: {row.image}: the split {row.split!r} is unknown")
    return {row.image: row for row in rows}


def to_csv(ledger: Ledger) -> str:
    """Returns the ledger as CSV, by image."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(ledger[image]) for image in sorted(ledger))
    return out.getvalue()


def extend(ledger: Ledger, arrived: Iterable[Row], rule: Splits, problems: Problems) -> Ledger:
    """Returns the ledger with the images of a delivery added or replaced.

    Args:
        ledger: What is there; each image of it keeps its split.
        arrived: New images, and those whose content or mask is another now. Their group and
            split are decided here.
        rule: Fractions and seed.
        problems: Gets content that would stand in two splits.
    """
    out = dict(ledger)
    by_content: dict[str, Row] = {row.sha256: row for _, row in sorted(ledger.items())}
    arrived = sorted(arrived, key=lambda row: row.image)
    for row in arrived:  # replaced ones first: their splits are given
        if (old := ledger.get(row.image)) is None:
            continue
        twin = by_content.get(row.sha256, old)
        if twin.split != old.split:
            problems.add(
                row.image,
                f"its new content is that of {twin.image}, which is in {twin.split}, while "
                f"{row.image} is in {old.split}; the same content must not be in two splits",
                "take it out",
            )
        out[row.image] = replace(row, group=twin.group, split=old.split)
        by_content.setdefault(row.sha256, out[row.image])
    for row in arrived:
        if row.image in ledger:
            continue
        twin = by_content.setdefault(row.sha256, replace(row, group=row.image))
        out[row.image] = replace(row, group=twin.group, split=twin.split)
    return _deal(out, rule)


def _deal(ledger: Ledger, rule: Splits) -> Ledger:
    """Gives each group without a split one."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for _, row in sorted(ledger.items()):
        groups[row.group].append(row)
    by_cluster: dict[str, list[str]] = defaultdict(list)
    for name, rows in groups.items():
        by_cluster[rows[0].cluster].append(name)
    decided: dict[str, str] = {}
    for names in by_cluster.values():
        decided |= _deal_cluster({name: groups[name] for name in names}, rule)
    return {
        image: row if row.split else replace(row, split=decided[row.group])
        for image, row in ledger.items()
    }


def _deal_cluster(groups: Mapping[str, list[Row]], rule: Splits) -> dict[str, str]:
    have = dict.fromkeys(SPLITS, 0)
    new: list[tuple[str, str]] = []
    for name, rows in groups.items():
        split = next((row.split for row in rows if row.split), "")
        if split:
            have[split] += 1
        else:
            content = min(row.sha256 for row in rows)
            new.append((sha256_bytes(f"{rule.seed}:{content}".encode()), name))
    wanted = quotas(len(groups), rule)
    decided: dict[str, str] = {}
    for _, name in sorted(new):
        split = TRAIN
        for candidate, quota in wanted.items():
            if have[candidate] < quota:
                split = candidate
                break
        have[split] += 1
        decided[name] = split
    return decided


def quotas(groups: int, rule: Splits) -> dict[str, int]:
    """Returns how many of a cluster's groups go to test and to validation, test first.

    Rounded, half up, by exact fractions.
    """
    at_least = int(groups >= 3)
    test = max(at_least, int(Fraction(str(rule.test)) * groups + Fraction(1, 2)))
    test = min(test, groups - 1 - at_least)
    validation = max(at_least, int(Fraction(str(rule.validation)) * groups + Fraction(1, 2)))
    return {TEST: test, VALIDATION: min(validation, groups - 1 - test)}
