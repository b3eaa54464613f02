"""How often each kind of image is drawn for training."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.training_data import draw_shares

SIZES = {"a.1": 90.0, "a.2": 10.0, "b": 25.0}


def test_as_they_come():
    assert draw_shares(SIZES, 0.0) == pytest.approx({"a.1": 0.72, "a.2": 0.08, "b": 0.2})


def test_all_slices_alike_and_all_strata_of_a_slice_alike():
    assert draw_shares(SIZES, 1.0) == pytest.approx({"a.1": 0.25, "a.2": 0.25, "b": 0.5})


def test_strata_cost_other_slices_nothing():
    whole = draw_shares({"a": 100.0, "b": 25.0}, 0.5)
    parts = draw_shares(SIZES, 0.5)
    assert parts["b"] == pytest.approx(whole["b"]) == pytest.approx(1 / 3)
    assert parts["a.1"] / parts["a.2"] == pytest.approx(3.0)


@given(
    st.dictionaries(
        st.sampled_from(["a", "a.x", "a.y", "b", "c.x"]), st.floats(0.1, 1e6), min_size=1
    ),
    st.floats(0, 1),
)
def test_shares_add_up(sizes, oversample):
    shares = draw_shares(sizes, oversample)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) > 0
