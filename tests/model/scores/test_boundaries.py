"""Distances between boundaries, against brute force and known shapes."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.scores.boundaries import boundary, score_boundaries

planes = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9))


def brute_boundary(plane):
    found = np.zeros_like(plane)
    for y, x in np.argwhere(plane):
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            i, j = y + dy, x + dx
            inside = 0 <= i < plane.shape[0] and 0 <= j < plane.shape[1]
            found[y, x] |= inside and not plane[i, j]
    return found


@given(planes)
def test_a_boundary_has_a_neighbour_outside(plane):
    np.testing.assert_array_equal(boundary(plane), brute_boundary(plane))


@given(planes, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 2.5]))
def test_scores_equal_brute_force(true, seed, tolerance):
    predicted = np.random.default_rng(seed).random(true.shape) < 0.5
    a, b = np.argwhere(brute_boundary(true)), np.argwhere(brute_boundary(predicted))
    hausdorff, dice = score_boundaries(true, predicted, tolerance)
    if not (len(a) and len(b)):
        alike = (true == predicted).all()
        assert (hausdorff, dice) == ((0, 1) if alike else (pytest.approx(np.hypot(*true.shape)), 0))
        return
    distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
    there, back = distances.min(1), distances.min(0)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hausdorff == pytest.approx(expected, abs=1e-4)
    close = (there <= tolerance).sum() + (back <= tolerance).sum()
    assert dice == pytest.approx(close / (len(a) + len(b)))


def test_everywhere_is_not_nowhere():
    nowhere, everywhere = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert score_boundaries(nowhere, everywhere, 2.0) == score_boundaries(everywhere, nowhere, 2.0)
    assert score_boundaries(nowhere, everywhere, 2.0) == (5, 0)
    assert score_boundaries(nowhere, nowhere, 2.0) == (0, 1)
    assert score_boundaries(everywhere, everywhere, 2.0) == (0, 1)


def test_a_disc_moved_by_three_pixels():
    y, x = np.ogrid[:80, :80]
    disc = (y - 40) ** 2 + (x - 35) ** 2 < 400
    hausdorff, dice = score_boundaries(disc, np.roll(disc, 3, axis=1), 3.0)
    assert 2.5 < hausdorff <= 3
    assert dice == 1
    assert score_boundaries(disc, np.roll(disc, 3, axis=1), 1.0)[1] < 0.6
