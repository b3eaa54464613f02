"""The learning rate at a step."""

import numpy as np
import pytest

from model.schedules import learning_rate
from segtrail.settings.schedule import Schedule
from segtrail.settings.training import Training


def rates(steps=100, **schedule):
    found = learning_rate(Training(steps=steps, learning_rate=0.01, schedule=Schedule(**schedule)))
    return np.array([float(found(step)) for step in range(steps + 1)])


def test_cosine_rises_falls_and_ends_at_its_final_part():
    found = rates(kind="cosine", warm_up=0.1, final=0.05)
    assert found[0] == pytest.approx(1e-4)
    assert found.argmax() == 10
    assert found.max() == pytest.approx(0.01)
    assert found[-1] == pytest.approx(5e-4)
    assert (np.diff(found[10:]) < 0).all()
    assert found[55] == pytest.approx((0.01 + 5e-4) / 2, rel=1e-3)


def test_step_falls_by_its_factor():
    found = rates(kind="step", warm_up=0.0, factor=0.1, every=40)
    np.testing.assert_allclose(found[[0, 39, 40, 79, 80, 99]], 0.01 * 10.0 ** -np.array(
        [0, 0, 1, 1, 2, 2]), rtol=1e-5)  # fmt: skip


def test_constant_stays_after_the_warm_up():
    found = rates(kind="constant", warm_up=0.2)
    assert found[0] == pytest.approx(1e-4)
    np.testing.assert_allclose(found[20:], 0.01, rtol=1e-6)
    np.testing.assert_allclose(np.diff(found[:20]), np.diff(found[:2])[0], rtol=1e-3)


def test_plateau_leaves_the_rate_to_its_callback():
    assert (
        learning_rate(Training(steps=10, learning_rate=0.02, schedule=Schedule(kind="plateau")))
        == 0.02
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "cosine", "factor": 0.1}, "factor is read by the schedule step and plateau"),
        ({"kind": "step", "final": 0.1}, "final is read by the schedule cosine"),
        ({"kind": "plateau", "warm_up": 0.1}, "plateau has no warm_up"),
    ],
)
def test_an_option_that_is_not_read_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Schedule.model_validate(given)
