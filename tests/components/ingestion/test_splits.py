"""Properties of the split ledger."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingestion import splits
from components.ingestion.clusters import CLUSTERS
from components.ingestion.problems import Problems
from components.ingestion.splits import Row, extend, quotas
from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.recipe import Splits

FRACTIONS = st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.25, 0.33, 0.4])
RULES = st.builds(Splits, validation=FRACTIONS, test=FRACTIONS, seed=st.integers(0, 9))


def row(name: int, content: int | None = None) -> Row:
    """An image; the same content means the same cluster."""
    content = name if content is None else content
    sha256 = sha256_bytes(str(content).encode())
    return Row(f"i{name:04d}", sha256, "m", "", CLUSTERS[int(sha256, 16) % 3 % len(CLUSTERS)])


# Images 0, 1, 2 …, some with the content of others.
ARRIVALS = st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=1, max_size=120).map(
    lambda contents: [row(n, content) for n, content in enumerate(contents)]
)


def dealt(deliveries, rule):
    ledger: splits.Ledger = {}
    for delivery in deliveries:
        problems = Problems("test")
        ledger = extend(ledger, delivery, rule, problems)
        assert not problems
    return ledger


def cut(rows, cuts):
    bounds = sorted({0, len(rows), *(c % (len(rows) + 1) for c in cuts)})
    return [rows[a:b] for a, b in pairwise(bounds)]


def groups_by_cluster(ledger):
    return Counter(
        (cluster, split)
        for cluster, split, _ in {(r.cluster, r.split, r.group) for r in ledger.values()}
    )


@given(ARRIVALS, RULES, st.lists(st.integers(0, 200), max_size=5))
@settings(deadline=None)
def test_an_image_never_changes_its_split(rows, rule, cuts):
    seen: dict[str, str] = {}
    ledger: splits.Ledger = {}
    for delivery in cut(rows, cuts):
        ledger = extend(ledger, delivery, rule, Problems("test"))
        now = {image: r.split for image, r in ledger.items()}
        assert {image: now[image] for image in seen} == seen
        seen = now
    assert set(seen) == {r.image for r in rows}


@given(ARRIVALS, RULES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_within_a_delivery_does_not_matter(rows, rule, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert dealt([rows], rule) == dealt([shuffled], rule)


@given(ARRIVALS, RULES)
@settings(deadline=None)
def test_names_do_not_matter_only_content(rows, rule):
    renamed = [
        Row(f"z{len(rows) - n:04d}", *list(vars(r).values())[1:]) for n, r in enumerate(rows)
    ]
    by_content = {r.sha256: r.split for r in dealt([rows], rule).values()}
    assert {r.sha256: r.split for r in dealt([renamed], rule).values()} == by_content


@given(ARRIVALS, RULES, st.lists(st.integers(0, 200), max_size=5))
@settings(deadline=None)
def test_the_same_content_is_one_group_in_one_split(rows, rule, cuts):
    ledger = dealt(cut(rows, cuts), rule)
    for content in {r.sha256 for r in rows}:
        same = [r for r in ledger.values() if r.sha256 == content]
        assert len({(r.group, r.split) for r in same}) == 1
    assert all(r.group in ledger for r in ledger.values())


@given(ARRIVALS, RULES, st.lists(st.integers(0, 200), max_size=5))
@settings(deadline=None, max_examples=150)
def test_each_cluster_comes_to_its_quotas_and_is_tested(rows, rule, cuts):
    counts = groups_by_cluster(dealt(cut(rows, cuts), rule))
    for cluster in {r.cluster for r in rows}:
        n = sum(counts[cluster, split] for split in ("train", "validation", "test"))
        wanted = quotas(n, rule)
        assert counts[cluster, "test"] == wanted["test"]
        assert abs(counts[cluster, "validation"] - wanted["validation"]) <= 1
        assert abs(counts[cluster, "test"] - Fraction(str(rule.test)) * n) <= 1
        assert abs(wanted["validation"] - Fraction(str(rule.validation)) * n) <= 1
        assert counts[cluster, "train"] >= 1
        if n >= 3:
            assert counts[cluster, "test"] >= 1
            assert wanted["validation"] >= 1


def test_one_image_a_delivery_comes_to_the_quotas_too():
    rule = Splits(validation=0.1, test=0.2)
    rows = [Row(f"i{n}", sha256_bytes(str(n).encode()), "m", "", "dark-grey") for n in range(200)]
    ledger = dealt([[r] for r in rows], rule)
    assert Counter(r.split for r in ledger.values()) == {
        "train": 140, "validation": 20, "test": 40,
    }  # fmt: skip


def test_the_seed_deals_otherwise():
    rows = [row(n) for n in range(60)]
    first, second = (dealt([rows], Splits(seed=seed)) for seed in (1, 2))
    assert {i for i, r in first.items() if r.split == "test"} != {
        i for i, r in second.items() if r.split == "test"
    }


def test_a_replaced_image_keeps_its_split_and_gets_its_new_content():
    rule = Splits(validation=0.2, test=0.2)
    ledger = dealt([[row(n) for n in range(30)]], rule)
    problems = Problems("test")
    extended = extend(ledger, [row(n, 1000 + n) for n in range(30)], rule, problems)
    assert not problems
    assert {i: r.split for i, r in extended.items()} == {i: r.split for i, r in ledger.items()}
    assert extended["i0003"].sha256 == row(3, 1003).sha256


def test_a_new_name_for_content_that_is_there_follows_it():
    """What is trained on never becomes a test image under another name."""
    rule = Splits(validation=0.4, test=0.4)
    ledger = dealt([[row(n) for n in range(30)]], rule)
    for old in ledger.values():
        copy = Row("copy", old.sha256, "m", "", old.cluster)
        extended = extend(ledger, [copy], rule, Problems("test"))
        assert (extended["copy"].split, extended["copy"].group) == (old.split, old.group)


@given(ARRIVALS, RULES)
@settings(deadline=None, max_examples=20)
def test_the_ledger_reads_as_written(tmp_path_factory, rows, rule):
    ledger = dealt([rows], rule)
    path = tmp_path_factory.mktemp("ledger") / "splits.csv"
    path.write_text(splits.to_csv(ledger))
    assert splits.read(path) == ledger


@pytest.mark.parametrize(
    ("text", "says"),
    [("image,split\na,train\n", "expected the columns"),
     ("image,sha256,mask_sha256,group,cluster,split\na,1,2,a,dark-grey,dev\n", "'dev' is unknown")],
)  # fmt: skip
def test_a_ledger_that_is_none(tmp_path, text, says):
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        splits.read(tmp_path / "splits.csv")
