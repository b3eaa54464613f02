"""Which images of the public data sets are of one specimen, and how they are dealt."""

from __future__ import annotations

import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from components.ingestion.clusters import modality
from components.ingestion.dealing import Arrival, deal
from components.ingestion.fingerprints import fingerprint
from components.ingestion.neighbours import NEAR_DUPLICATE, NEIGHBOURING_CROP, find_links
from components.ingestion.problems import Problems
from segtrail.files import sha256_bytes
from segtrail.image_statistics import image_statistics
from segtrail.images import decode_image
from segtrail.settings.dataset import Splits
from segtrail.split_ledger import Row

DATA = Path(__file__).parents[4] / "shared/data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not there"),
]


def images(archive, wanted):
    with zipfile.ZipFile(DATA / archive) as z:
        return {name: z.read(name) for name in sorted(z.namelist()) if wanted(name)}


def arrivals(files):
    out = {}
    for name, data in files.items():
        pixels = decode_image(data, name)
        row = Row(name, sha256_bytes(data), "m", slice=modality(pixels))
        out[name] = Arrival(row, fingerprint(pixels), image_statistics(pixels))
    return out


@pytest.fixture(scope="module")
def bowl():
    files = images("dsb2018/stage1_train.zip", lambda n: "/images/" in n and n.endswith(".png"))
    return files, arrivals(files)


def test_the_fields_of_the_bowl_are_put_together(bowl):
    files, arrived = bowl
    links = find_links(
        {}, {i: a.fingerprint for i, a in arrived.items()}, lambda i: decode_image(files[i], i)
    )
    assert [k.kind for k in links if k.kind != NEIGHBOURING_CROP] == [NEAR_DUPLICATE]
    found = [k for k in links if k.kind == NEIGHBOURING_CROP]
    assert len(found) >= 380
    # None is between kinds of images or sizes, though nothing forbade it.
    assert not [k for k in found if arrived[k.first].row.slice != arrived[k.second].row.slice]
    # Wherever four tiles could close a square, they do.
    shape = {i: a.fingerprint.shape for i, a in arrived.items()}
    partners = defaultdict(set)
    for k in found:
        partners[k.first].add(k.second)
        partners[k.second].add(k.first)
    squares = sum(
        len(partners[b] & partners[c]) > 1
        for a in partners
        for b in partners[a]
        for c in partners[a]
        if b < c
    )
    assert squares >= 200
    assert all(len(p) <= 4 for p in partners.values())
    assert {shape[k.first] == shape[k.second] for k in found} == {True}


def test_the_bowl_is_dealt_in_shares_without_leaks(bowl, tmp_path):
    files, arrived = bowl
    problems = Problems("bowl")
    dealt = deal(
        tmp_path, {}, list(arrived.values()), Splits(validation=0.1, test=0.1),
        groups_known=False, pixels=lambda i: decode_image(files[i], i), problems=problems,
    )  # fmt: skip
    assert (len(dealt.ledger), dealt.leaks, len(problems)) == (609, [], 0)
    groups = Counter(row.group for row in dealt.ledger.values())
    assert 230 <= len(groups) <= 290
    assert max(groups.values()) <= 16  # the largest fields are of 4 x 4 tiles
    counts = Counter((row.slice, row.split) for row in dealt.ledger.values())
    for slice_, size in Counter(row.slice for row in dealt.ledger.values()).items():
        for split in ("validation", "test"):
            assert abs(counts[slice_, split] - size / 10) <= 1.5
            assert counts[slice_, split] >= 1


def test_three_blood_cells_are_there_twice():
    files = images("wbc/segmentation_WBC.zip", lambda n: n.lower().endswith(".bmp"))
    arrived = arrivals(files)
    links = find_links(
        {}, {i: a.fingerprint for i, a in arrived.items()}, lambda i: decode_image(files[i], i)
    )
    assert {(k.first[-7:-4], k.second[-7:-4]) for k in links} == {
        ("112", "139"), ("166", "171"), ("167", "169"),
    }  # fmt: skip


def test_eyes_and_slices_are_not_mistaken_for_each_other():
    for archive, wanted in (
        ("drishti-gs/Drishti-GS1_files.zip", lambda n: "/Images/" in n and n.endswith(".png")),
        ("isbi2012/membrane.zip", lambda n: "/image/" in n and n.endswith(".png")),
    ):
        files = images(archive, wanted)
        arrived = arrivals(files)
        prints = {i: a.fingerprint for i, a in arrived.items()}
        assert find_links({}, prints, lambda i, files=files: decode_image(files[i], i)) == []
