"""The preprocessing section: defaults that keep old recipes as they are, and refusals."""

import pytest
from pydantic import ValidationError

from segtrail.settings.preprocessing import Preprocessing


def test_what_a_recipe_leaves_out_changes_nothing():
    given = Preprocessing()
    assert (given.intensity, given.sixteen_bit, given.resize) == ("linear", "used-bits", None)
    assert given.strides == (160, 160)


def test_strides_are_given_for_both_axes_or_for_each():
    assert Preprocessing(stride=96).strides == (96, 96)
    assert Preprocessing(stride=[96, 32]).strides == (96, 32)
    assert Preprocessing(resize=[128, 160], tile=128, stride=128).resize == [128, 160]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"stride": [200, 100]}, "pixels between the tiles would never be seen"),
        ({"stride": [96]}, "got [96]; expected an integer from 16 to 1024, or two of them"),
        ({"stride": True}, "got True; expected an integer from 16 to 1024"),
        ({"stride": "160"}, "got '160'; expected an integer from 16 to 1024"),
        ({"resize": [128, 128]}, "tile (192) must not be above a side of resize ([128, 128])"),
        ({"resize": [256, 256], "scale": 2}, "give one of them"),
        ({"resize": [128]}, "at least 2 items"),
    ],
)
def test_a_wrong_value_says_what_was_expected(given, says):
    with pytest.raises(ValidationError) as caught:
        Preprocessing.model_validate(given)
    assert says in str(caught.value)
