"""Values in `params.yaml`: these change, and no other character."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.tuning.fields import set_field
from components.tuning.writing import unified_diff, with_values
from segtrail.errors import StageError
from segtrail.params import check_params, dump

SHIPPED = (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8")
FIELDS = {
    "training.learning_rate": st.floats(1e-6, 0.9),
    "training.weight_decay": st.floats(0, 0.9),
    "training.batch_size": st.integers(1, 64),
    "training.augmentation.zoom": st.floats(0, 1),
    "training.augmentation.gamma": st.floats(0, 3),
    "training.schedule.warm_up": st.floats(0, 0.8),
    "training.early_stopping": st.sampled_from([None, {"patience": 3, "min_delta": 0.0}]),
    "network.dropout": st.floats(0, 0.9) | st.just([0.0, 0.0, 0.1, 0.1, 0.2]),
}


def expected_of(text, name, changes):
    params = check_params(yaml.safe_load(text), "params.yaml")
    raw = dump(params)
    for field, value in changes.items():
        set_field(raw["recipes"][name], field, value)
    return check_params(raw, "expected").recipes[name]


def write(text, changes, name="cells"):
    return with_values(text, name, changes, expected_of(text, name, changes))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["nuclei", "wbc", "em", "fundus"]),
    st.fixed_dictionaries({}, optional=FIELDS),
)
def test_the_shipped_file_changes_in_these_values_alone(name, changes):
    new = write(SHIPPED, changes, name)
    raw = yaml.safe_load(SHIPPED)
    for field, value in changes.items():
        set_field(raw["recipes"][name], field, value)
    assert yaml.safe_load(new) == raw
    old_lines, new_lines = SHIPPED.splitlines(), new.splitlines()
    kept = [line for line in old_lines if line in set(new_lines)]
    assert len(old_lines) - len(kept) <= len(changes)
    assert [line for line in new_lines if line.strip().startswith("#")] == [
        line for line in old_lines if line.strip().startswith("#")
    ]


TEXT = """\
datasets:
  plates: {adapter: folders, masks: instances, classes: [cell], slices: {}, splits: {}}
recipes:
  cells:   # of plates
    dataset: plates
    classes: [cell]
    preprocessing: {}
    network: {base_filters:  8, }  # small
    training: &ours
        steps: 40
        # found by hand
        learning_rate:    2.0e-3   # the rate
        augmentation:
            zoom: 0.1

    objects: {}
    validation: {}
    serving: {}
    gate: {absolute: [{metric: mean_iou, min: 0.5}]}
"""
OTHER = """\
  other:
    dataset: plates
    classes: [cell]
    preprocessing: {}
    network: {}
    training: TRAINING
    objects: {}
    validation: {}
    serving: {}
    gate: {absolute: [{metric: mean_iou, min: 0.5}]}
"""


def test_the_difference_is_just_the_lines_of_the_values():
    new = write(
        TEXT,
        {
            "training.learning_rate": 0.00005,
            "training.augmentation.gamma": 0.25,
            "training.loss_options.dice_weight": 2.0,
            "network.dropout": 0.125,
        },
    )
    changed = [line for line in unified_diff(TEXT, new).splitlines() if line[0] in "+-"][2:]
    assert changed == [
        "-    network: {base_filters:  8, }  # small",
        "+    network: {base_filters:  8, dropout: 0.125 }  # small",
        "-        learning_rate:    2.0e-3   # the rate",
        "+        learning_rate:    5.0e-05   # the rate",
        "+        loss_options: {dice_weight: 2.0}",
        "+            gamma: 0.25",
    ]


def test_windows_line_ends_and_a_missing_last_one_stay():
    text = TEXT.replace("\n", "\r\n")
    new = write(text, {"training.batch_size": 4})
    assert new.replace("        batch_size: 4\r\n", "", 1) == text
    section = TEXT[: TEXT.index("    objects:")].rstrip() + "\n"
    moved = TEXT.replace(section[section.index("    training:") :], "") + section[
        section.index("    training:") :
    ].rstrip("\n")
    assert write(moved, {"training.augmentation.gamma": 0.5}).startswith(moved)


def test_a_merged_section_is_overridden_in_this_recipe_alone():
    text = TEXT + OTHER.replace("TRAINING", "\n      <<: *ours\n      batch_size: 2")
    new = write(text, {"training.learning_rate": 0.5}, "other")
    changed = [line for line in unified_diff(text, new).splitlines() if line[0] in "+-"][2:]
    assert changed == ["+      learning_rate: 0.5"]


@pytest.mark.parametrize("name", ["cells", "other"])
def test_what_others_share_is_not_touched(name):
    text = TEXT + OTHER.replace("TRAINING", "*ours")
    with pytest.raises(StageError) as caught:
        write(text, {"training.learning_rate": 0.5}, name)
    assert "recipes." in caught.value.message
    assert "training.learning_rate: 0.5" in caught.value.hint


def test_values_that_others_take_over_by_a_merge_are_not_touched():
    text = TEXT + OTHER.replace("TRAINING", "\n      <<: *ours\n      batch_size: 2")
    with pytest.raises(StageError, match="changed safely"):
        write(text, {"training.learning_rate": 0.5}, "cells")
