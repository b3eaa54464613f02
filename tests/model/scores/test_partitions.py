"""How pixels are grouped."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.scores.partitions import rand_f, variation_of_information

labels = hnp.arrays(np.uint16, (5, 6), elements=st.integers(0, 4))


@given(labels, labels)
def test_variation_of_information_is_two_conditional_entropies(true, predicted):
    split, merged = variation_of_information(true, predicted)
    inside = true > 0
    t, p = true[inside], predicted[inside]
    expected = [0.0, 0.0]
    for a in np.unique(t):
        for b in np.unique(p):
            joint = np.mean((t == a) & (p == b))
            if joint:
                expected[0] -= joint * np.log2(joint / np.mean(t == a))
                expected[1] -= joint * np.log2(joint / np.mean(p == b))
    assert (split, merged) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


@given(labels)
def test_equal_partitions_are_equal_whatever_their_names(true):
    renamed = np.where(true > 0, 9 - true, 0).astype(np.uint16)
    assert rand_f(true, renamed) == 1
    assert variation_of_information(true, renamed) == (pytest.approx(0), pytest.approx(0))


def pairs_of_pixels(true, predicted):
    """The Rand F-score by its words: each pair of true foreground pixels."""
    a, b = true[true > 0], predicted[true > 0]
    both = of_true = of_predicted = 0
    for i in range(len(a)):
        for j in range(i):
            both += a[i] == a[j] and b[i] == b[j]
            of_true += a[i] == a[j]
            of_predicted += b[i] == b[j]
    if not of_true + of_predicted:
        return 1.0
    precision = both / of_predicted if of_predicted else 0.0
    recall = both / of_true if of_true else 0.0
    return 2 * precision * recall / (precision + recall) if both else 0.0


@settings(deadline=None)
@given(hnp.arrays(np.uint16, (5, 6), elements=st.integers(0, 3)), labels)
def test_rand_f_equals_brute_force(true, predicted):
    predicted = predicted[:5, :6]
    assert rand_f(true, predicted) == pytest.approx(pairs_of_pixels(true, predicted))


def test_rand_f_of_known_cases():
    true = np.zeros((10, 10), np.uint16)
    assert rand_f(true, true) == 1  # nothing to be judged
    true[:, :4], true[:, 6:] = 1, 2
    assert rand_f(true, true) == 1
    assert rand_f(true, true + 3) == 1  # whatever the ids are, and where there is no object
    merged = np.ones_like(true)
    # of two objects of 40 pixels: pairs in one, 2 * 40 * 39; in the merged one, 80 * 79
    recall, precision = 1, 2 * 40 * 39 / (80 * 79)
    assert rand_f(true, merged) == pytest.approx(2 * precision * recall / (precision + recall))
    alone = np.arange(100, dtype=np.uint16).reshape(10, 10)
    assert rand_f(true, alone) == 0
