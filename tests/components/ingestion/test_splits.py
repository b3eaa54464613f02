"""Dealing units of images to splits."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingestion.splits import Unit, deal, shares
from segtrail.artifacts import SPLITS, TRAIN
from segtrail.files import sha256_bytes
from segtrail.settings.dataset import Splits

FRACTIONS = st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.25, 0.33, 0.4])
RULES = st.builds(Splits, validation=FRACTIONS, test=FRACTIONS, seed=st.integers(0, 9))
STRATA = [("grey", "grey-1"), ("grey", "grey-2"), ("stained", "stained")]


def unit(number, images, split=""):
    return Unit(sha256_bytes(str(number).encode()), images, split)


def units(sizes):
    """Units, each with so many images of some strata."""
    return st.lists(
        st.dictionaries(st.sampled_from(STRATA), sizes, min_size=1, max_size=2),
        min_size=1, max_size=40,
    ).map(lambda found: [unit(n, images) for n, images in enumerate(found)])  # fmt: skip


UNITS = units(st.integers(1, 9))


def counted(mine, dealt, key=lambda stratum: "all"):
    counts = Counter()
    for one, split in zip(mine, dealt, strict=True):
        for stratum, images in one.images.items():
            counts[key(stratum), split] += images
    return counts


def cost(mine, dealt, rule):
    """The squared differences from what is wanted, over the three levels."""
    total = Fraction(0)
    for key in (lambda s: "all", lambda s: s[0], lambda s: s):
        counts = counted(mine, dealt, key)
        for level in {level for level, _ in counts}:
            every = sum(counts[level, split] for split in SPLITS)
            for split, share in zip(SPLITS, shares(rule), strict=True):
                total += (counts[level, split] - share * every) ** 2
    return total


def covered(mine, dealt):
    """Whether rule 2 holds: three units or more of a slice have one in each split."""
    for slice_ in {s for u in mine for s, _ in u.images}:
        have = [
            d for u, d in zip(mine, dealt, strict=True) if any(s == slice_ for s, _ in u.images)
        ]
        if (set(have) != set(SPLITS)) if len(have) >= 3 else (TRAIN not in have):
            return False
    return True


@given(UNITS, RULES, st.data())
@settings(deadline=None)
def test_what_has_a_split_keeps_it(mine, rule, data):
    given_ = data.draw(st.lists(st.sampled_from(["", *SPLITS]), min_size=len(mine),
                                max_size=len(mine)))  # fmt: skip
    mine = [Unit(u.content, u.images, split) for u, split in zip(mine, given_, strict=True)]
    dealt = deal(mine, rule)
    assert all(
        now == (had or now) and now in SPLITS for had, now in zip(given_, dealt, strict=True)
    )


@given(UNITS, RULES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_does_not_matter(mine, rule, random):
    dealt = {u.content: split for u, split in zip(mine, deal(mine, rule), strict=True)}
    random.shuffle(mine)
    assert dealt == {u.content: split for u, split in zip(mine, deal(mine, rule), strict=True)}


@given(UNITS, RULES)
@settings(deadline=None, max_examples=50)
def test_shares_are_as_near_as_the_sizes_of_units_allow(mine, rule):
    counts = counted(mine, dealt := deal(mine, rule))
    every = sum(counts.values())
    largest = max(sum(u.images.values()) for u in mine)
    for split, share in zip(SPLITS, shares(rule), strict=True):
        assert abs(counts["all", split] - share * every) <= 4 * largest
    slices = {s for u in mine for s, _ in u.images}
    if all(sum(any(s == k for s, _ in u.images) for u in mine) >= 6 for k in slices):
        assert covered(mine, dealt)


@given(st.lists(st.integers(20, 60), min_size=1, max_size=3), RULES)
@settings(deadline=None, max_examples=100)
def test_single_images_come_within_one_of_every_share(sizes, rule):
    strata = [STRATA[n] for n, size in enumerate(sizes) for _ in range(size)]
    mine = [unit(n, {stratum: 1}) for n, stratum in enumerate(strata)]
    dealt = deal(mine, rule)
    for key in (lambda s: "all", lambda s: s[0], lambda s: s):
        counts = counted(mine, dealt, key)
        for level in {level for level, _ in counts}:
            every = sum(counts[level, split] for split in SPLITS)
            for split, share in zip(SPLITS, shares(rule), strict=True):
                assert abs(counts[level, split] - share * every) <= 1
    assert covered(mine, dealt)


@given(
    st.lists(st.tuples(st.sampled_from(STRATA), st.integers(1, 5)), min_size=1, max_size=7), RULES
)
@settings(deadline=None, max_examples=25)
def test_no_dealing_is_much_better(found, rule):
    """Against all 3^n ways, of those that rule 2 allows."""
    mine = [unit(n, {stratum: size}) for n, (stratum, size) in enumerate(found)]
    dealt = deal(mine, rule)
    ways = [way for way in product(SPLITS, repeat=len(mine)) if covered(mine, way)]
    assert covered(mine, dealt)
    assert (
        float(cost(mine, dealt, rule))
        <= 1.5 * float(min(cost(mine, way, rule) for way in ways))
        + 3 * max(size for _, size in found) ** 2
    )


def test_large_groups_do_not_all_go_to_training():
    sizes = [1, 1, 4, 4, 11] * 40
    mine = [unit(n, {STRATA[0]: size}) for n, size in enumerate(sizes)]
    dealt = deal(mine, Splits(validation=0.1, test=0.2))
    assert Counter(dealt)["test"] >= 30
    large = Counter(d for d, size in zip(dealt, sizes, strict=True) if size == 11)
    assert large["test"] >= 4
    assert counted(mine, dealt) == {
        ("all", "train"): 588, ("all", "validation"): 84, ("all", "test"): 168,
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 4])
def test_one_unit_a_delivery_comes_to_the_shares_too(size):
    mine = []
    for n in range(100):
        mine.append(unit(n, {STRATA[0]: size}))
        mine = [
            Unit(u.content, u.images, s)
            for u, s in zip(mine, deal(mine, Splits(validation=0.1, test=0.2)), strict=True)
        ]
    assert Counter(u.split for u in mine) == {"train": 70, "validation": 10, "test": 20}


def test_the_seed_deals_otherwise():
    mine = [unit(n, {STRATA[0]: 1}) for n in range(60)]
    assert deal(mine, Splits(seed=1)) != deal(mine, Splits(seed=2))


def test_shares_of_many_decimals_do_not_outgrow_the_integers():
    share = 0.3333333333333333
    mine = [unit(n, {STRATA[0]: 1}) for n in range(3000)]
    counts = Counter(deal(mine, Splits(validation=share, test=share)))
    assert abs(counts["test"] - 3000 * share) <= 1
    assert abs(counts["validation"] - 3000 * share) <= 1


def test_nothing_to_deal():
    assert deal([], Splits()) == []
