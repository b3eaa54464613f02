"""The split ledger as it grows: nothing moves, and what belongs together stays together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingestion import clusters, fingerprints
from components.ingestion.dealing import Arrival, deal, extend
from components.ingestion.fingerprints import fingerprint
from components.ingestion.neighbours import KINDS, NEAR_DUPLICATE, SAME_GROUP, Link
from components.ingestion.problems import Problems
from segtrail import split_ledger
from segtrail.files import sha256_bytes
from segtrail.image_statistics import image_statistics
from segtrail.settings.dataset import Splits
from segtrail.split_ledger import Row

RULE = Splits(validation=0.2, test=0.2)
SLICES = ("grey", "stained")


def row(image, content=None, group=""):
    content = image if content is None else content
    sha256 = sha256_bytes(str(content).encode())
    slice_ = SLICES[int(sha256, 16) % 2]
    return Row(image, sha256, "m", sha256, "1", slice_, group, slice_)


def link(first, second, score=0.9, kind=NEAR_DUPLICATE):
    return Link(min(first, second), max(first, second), kind, score)


def grow(ledger, arrived, links=(), rule=RULE, groups_known=False):
    problems = Problems("test")
    there = {r.image for r in (*split_ledger.present(ledger.values()), *arrived)}
    new = {r.image for r in arrived}
    links = sorted(
        (k for k in links if {k.first, k.second} <= there and {k.first, k.second} & new),
        key=lambda k: k.rank,
    )
    return *extend(
        ledger, arrived, links, rule, groups_known=groups_known, problems=problems
    ), problems  # fmt: skip


# Growth: any images, contents, groups and links, added, replaced, removed and brought back.
IMAGES = st.integers(0, 29).map("i{:02d}".format)
ROWS = st.builds(row, IMAGES, st.integers(0, 60), st.sampled_from(["", "", "", "g1", "g2", "g3"]))
LINKS = st.lists(
    st.builds(
        link, IMAGES, IMAGES, st.sampled_from([0.6, 0.8, 1.0]),
        st.sampled_from([k for k in KINDS if k != SAME_GROUP]),
    ).filter(lambda k: k.first != k.second),
    max_size=20,
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.lists(ROWS, max_size=12, unique_by=lambda r: r.image), st.sets(IMAGES, max_size=4)
    ),
    min_size=1,
    max_size=6,
)
RULES = st.builds(
    Splits, validation=st.sampled_from([0.1, 0.2]), test=st.sampled_from([0.1, 0.3]),
    seed=st.integers(0, 3),
)  # fmt: skip


@given(STEPS, LINKS, RULES, st.booleans(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_growth(steps, links, rule, groups_known, random):
    ledger: split_ledger.Ledger = {}
    seen: dict[str, str] = {}
    reported: set[frozenset[str]] = set()
    for number, (arrived, gone) in enumerate(steps):
        marked = {
            i: replace(r, removed=str(number)) if i in gone and not r.removed else r
            for i, r in ledger.items()
        }
        arrived = [r for r in arrived if r.image not in gone]
        grown, leaks, problems = grow(marked, arrived, links, rule, groups_known)
        random.shuffle(arrived)
        assert grow(marked, arrived, links, rule, groups_known)[:2] == (grown, leaks)
        if problems:  # refused: nothing lands
            continue
        ledger = grown
        # nothing ever moves, and nothing is forgotten
        assert {i: ledger[i].split for i in seen} == seen
        seen = {i: r.split for i, r in ledger.items()}
        # rows of images that did not arrive are as they were
        there = {r.image for r in arrived}
        assert all(ledger[i] == marked[i] for i in marked if i not in there)
        assert all(not ledger[i].removed for i in there)
        # no content is in two splits, nor moved from one to another by this delivery
        contents: dict[str, set[str]] = {}
        for r in (*marked.values(), *ledger.values()):
            contents.setdefault(r.sha256, set()).add(r.split)
        assert all(len(splits) == 1 for splits in contents.values())
        # no group and no link is across splits, unless reported
        reported |= {frozenset((k.first, k.second)) for k in leaks}
        assert all(ledger[k.first].split != ledger[k.second].split for k in leaks)
        present = split_ledger.present(ledger.values())
        for a, b in combinations(present, 2):
            if a.group == b.group and a.split != b.split:
                assert {a.image, b.image} & {i for pair in reported for i in pair}
        for k in links:
            pair = {k.first, k.second}
            if pair & there and pair <= {r.image for r in present}:
                apart = ledger[k.first].split != ledger[k.second].split
                assert (frozenset(pair) in {frozenset((q.first, q.second)) for q in leaks}) == apart
        assert split_ledger.parse(split_ledger.to_csv(ledger).encode(), "x") == ledger


@given(st.lists(st.integers(0, 40), min_size=3, max_size=60), LINKS)
@settings(deadline=None)
def test_links_within_a_first_delivery_never_leak(contents, links):
    arrived = [row(f"i{n:02d}", content) for n, content in enumerate(contents)]
    ledger, leaks, problems = grow({}, arrived, links)
    assert not leaks
    assert not problems
    for k in links:
        if k.first in ledger and k.second in ledger:
            assert ledger[k.first].group == ledger[k.second].group


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60, unique=True))
@settings(deadline=None)
def test_names_do_not_matter_only_content(contents):
    def by_content(ledger):
        return {r.sha256: r.split for r in ledger.values()}

    mine = [row(f"a{n:02d}", content) for n, content in enumerate(contents)]
    renamed = [row(f"z{99 - n}", content) for n, content in enumerate(contents)]
    assert by_content(grow({}, mine)[0]) == by_content(grow({}, renamed)[0])


def ledger_of(count=40):
    return grow({}, [row(f"i{n:02d}") for n in range(count)])[0]


def of_split(ledger, split):
    return next(i for i, r in sorted(ledger.items()) if r.split == split)


def test_the_surest_link_wins_and_the_other_is_reported():
    ledger = ledger_of()
    train, test = of_split(ledger, "train"), of_split(ledger, "test")
    links = [link("new", train, 0.7), link("new", test, 0.8)]
    grown, leaks, _ = grow(ledger, [row("new")], links)
    assert (grown["new"].split, grown["new"].group) == ("test", ledger[test].group)
    assert leaks == [links[0]]


def test_a_new_image_that_links_two_groups_of_one_split_joins_silently():
    ledger = ledger_of()
    one, other = [i for i, r in sorted(ledger.items()) if r.split == "test"][:2]
    grown, leaks, _ = grow(ledger, [row("new")], [link("new", one), link("new", other)])
    assert grown["new"].split == "test"
    assert not leaks


def test_with_known_groups_links_are_reported_and_do_not_join():
    arrived = [row(f"s{n}", group=f"subject {n // 4}") for n in range(40)]
    links = [link("s0", f"s{n}", 0.6) for n in range(4, 40)]
    ledger, leaks, _ = grow({}, arrived, links, groups_known=True)
    assert {r.split for r in ledger.values()} == {"train", "validation", "test"}
    for n in range(0, 40, 4):
        assert len({ledger[f"s{k}"].split for k in range(n, n + 4)}) == 1
    assert {k.second for k in leaks} == {
        i for i, r in ledger.items() if r.split != ledger["s0"].split
    }


def test_a_later_image_of_a_subject_follows_it():
    ledger, _, _ = grow({}, [row(f"s{n}", group=f"subject {n}") for n in range(20)])
    grown, _, _ = grow(ledger, [row(f"t{n}", group=f"subject {n}") for n in range(20)])
    assert all(grown[f"t{n}"].split == ledger[f"s{n}"].split for n in range(20))


def test_a_new_name_for_content_that_is_or_was_there_follows_it():
    """What is trained on never becomes a test image under another name."""
    ledger = ledger_of(30)
    for image, old in ledger.items():
        for change in ({}, {"removed": "2"}):
            marked = ledger | {image: replace(old, **change)}
            grown, _, problems = grow(marked, [row("copy", image)])
            assert grown["copy"].split == old.split
            assert not problems
    # also if the image gets other content in the same delivery
    grown, _, _ = grow(ledger, [row("i03", "other"), row("copy", "i03")])
    assert grown["copy"].split == ledger["i03"].split


def test_content_of_another_split_is_a_problem():
    ledger = ledger_of(30)
    train, test = of_split(ledger, "train"), of_split(ledger, "test")
    _, _, problems = grow(ledger, [row(test, train)])
    (problem,) = problems
    assert problem.image == test
    assert f"that of {train}, which is in train" in problem.what
    # two images that change places
    assert len(grow(ledger, [row(test, train), row(train, test)])[2]) == 2


def test_a_replaced_image_whose_new_group_is_elsewhere_is_reported():
    ledger, _, _ = grow({}, [row(f"s{n:02d}", group=f"g{n:02d}") for n in range(20)])
    train, test = of_split(ledger, "train"), of_split(ledger, "test")
    grown, leaks, _ = grow(ledger, [row(test, "other", ledger[train].group)])
    assert grown[test].split == "test"
    assert leaks == [Link(test, train, SAME_GROUP, 1.0)]


def test_a_torn_group_is_reported_also_if_its_first_image_was_removed():
    ledger, _, _ = grow({}, [row(f"s{n:02d}", group=f"g{n // 2}") for n in range(40)])
    train, test = of_split(ledger, "train"), of_split(ledger, "test")
    gone, there = (i for i in ledger if ledger[i].group == ledger[train].group)
    marked = ledger | {gone: replace(ledger[gone], removed="2")}
    _, leaks, _ = grow(marked, [row(test, "other", ledger[train].group)])
    assert leaks == [Link(test, there, SAME_GROUP, 1.0)]


# On pixels: real fields cut into tiles.
def cell_field(seed):
    rng = np.random.default_rng(seed)
    image = np.full((256, 256), 12, np.float32)
    for _ in range(90):
        at = rng.integers(0, 256), rng.integers(0, 256)
        axes = rng.integers(6, 14), rng.integers(5, 10)
        cv2.ellipse(image, at, axes, rng.integers(180), 0, 360, float(rng.integers(60, 200)), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.5) + rng.normal(0, 1.5, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@dataclass
class Dataset:
    """A folder of `data/`, its ledger and its pixels, growing by deliveries."""

    folder: object
    ledger: split_ledger.Ledger = field(default_factory=dict)
    pixels: dict = field(default_factory=dict)

    def deliver(self, images, gone=(), **options):
        self.pixels |= images
        for image in gone:
            self.ledger[image] = replace(self.ledger[image], removed="9")
            del self.pixels[image]
        arrived = [
            Arrival(
                Row(i, sha256_bytes(p.tobytes()), "m", slice="cells"),
                fingerprint(p), image_statistics(p),
            )
            for i, p in images.items()
        ]  # fmt: skip
        problems = Problems("test")
        dealt = deal(
            self.folder, self.ledger, arrived, RULE, pixels=self.pixels.__getitem__,
            problems=problems, **{"groups_known": False} | options,
        )  # fmt: skip
        assert not problems
        self.ledger = dealt.ledger
        for name, content in dealt.files.items():
            (self.folder / name).write_bytes(content)
        return dealt


def quarters(name, seed):
    whole = cell_field(seed)
    return {
        f"{name}{y}{x}": whole[128 * y : 128 * y + 128, 128 * x : 128 * x + 128]
        for y in range(2)
        for x in range(2)
    }


@pytest.fixture(scope="module")
def fields():
    return [quarters(f"f{n:02d}-", n) for n in range(12)]


def test_tiles_of_a_field_share_a_split(tmp_path, fields):
    data = Dataset(tmp_path)
    dealt = data.deliver({i: p for tiles in fields for i, p in tiles.items()})
    assert not dealt.leaks
    whole = [{data.ledger[i].group for i in tiles} for tiles in fields]
    assert sum(len(groups) == 1 for groups in whole) >= 9
    assert len(set.union(*whole)) >= 12  # and not all in one
    assert {r.split for r in data.ledger.values()} == {"train", "validation", "test"}
    assert fingerprints.read(tmp_path / "fingerprints.csv").keys() == data.pixels.keys()
    assert "cells" in clusters.read(tmp_path / "clusters.json")


def test_tiles_that_come_later_follow_their_field(tmp_path, fields):
    data = Dataset(tmp_path)
    first = {i: p for tiles in fields for i, p in tiles.items() if i.endswith(("00", "01"))}
    data.deliver(first)
    before = {i: r.split for i, r in data.ledger.items()}
    rest = {i: p for tiles in fields for i, p in tiles.items() if i not in first}
    dealt = data.deliver(rest)
    assert {i: data.ledger[i].split for i in before} == before
    told = {frozenset((k.first, k.second)) for k in dealt.leaks}
    missed = 0
    for tiles in fields:
        name = next(iter(tiles))[:-2]
        for x in "01":
            upper, lower = f"{name}0{x}", f"{name}1{x}"
            apart = data.ledger[upper].split != data.ledger[lower].split
            missed += apart and frozenset((upper, lower)) not in told
    assert missed <= 3  # whose edges do not tell


def test_a_removed_images_fingerprint_is_dropped_and_it_comes_back_to_its_split(tmp_path, fields):
    data = Dataset(tmp_path)
    tiles = {i: p for some in fields[:6] for i, p in some.items()}
    data.deliver(tiles)
    before = dict(data.ledger)
    gone = sorted(tiles)[:5]
    data.deliver({}, gone)
    assert not fingerprints.read(tmp_path / "fingerprints.csv").keys() & set(gone)
    data.deliver({i: tiles[i] for i in gone})
    assert {i: r.split for i, r in data.ledger.items()} == {i: r.split for i, r in before.items()}
    assert {i: r.group for i, r in data.ledger.items()} == {i: r.group for i, r in before.items()}


def test_a_dataset_without_fingerprints_gets_them(tmp_path, fields):
    data = Dataset(tmp_path)
    data.deliver(fields[0])
    whole = (tmp_path / "fingerprints.csv").read_bytes()
    (tmp_path / "fingerprints.csv").unlink()
    data.deliver({})
    assert (tmp_path / "fingerprints.csv").read_bytes() == whole
