"""Validation: what the suite finds, and the files that the stage writes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from components.validate import validate_examples
from components.validating import tables
from components.validating.baseline import infer
from components.validating.checking import Outcome, check
from components.validating.suite import checks
from segtrail.artifacts import Examples, ValidationResult
from segtrail.errors import ConfigError, DataError
from segtrail.expectations import DEFAULTS
from segtrail.files import read_json, sha256_bytes, write_bytes, write_text
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import encode_png
from segtrail.params import load_params
from segtrail.settings.dataset import Dataset
from segtrail.settings.validation import Validation
from segtrail.workspace import Workspace

IMAGES = 50
DATASET = Dataset(
    adapter="dsb2018", masks="instances", classes=["nucleus"], slices={},
    splits={"validation": 0.2, "test": 0.2},
)  # fmt: skip
SPLITS = ("train", "train", "train", "validation", "test")


def pictures(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image with discs of known places, and its mask."""
    rng = np.random.default_rng(number)
    mask = np.zeros((64, 80), np.uint16)
    rows, columns = np.mgrid[:64, :80]
    for k in range(3):
        mask[(rows - 12 - 20 * k) ** 2 + (columns - 15 - 22 * k) ** 2 < 36] = k + 1
    level = 30 + number % 7
    image = rng.integers(level, level + 20, mask.shape).astype(np.uint8)
    image[mask > 0] += 120
    return image, np.roll(mask, number, axis=1) if number % 2 else mask[::-1].copy()


def make_manifest(folder: Path | None = None) -> pd.DataFrame:
    """Returns a manifest of images that hold everything; writes them if there is a folder."""
    rows = []
    for number in range(IMAGES):
        image, mask = pictures(number)
        name = f"cell-{number:02d}"
        mask[0, number] = 4  # masks differ
        mask[1, number] = 4
        mask[0:2, number + 1] = 4
        image_bytes, mask_bytes = encode_png(image), encode_png(mask)
        if folder:
            write_bytes(folder / "images" / f"{name}.png", image_bytes)
            write_bytes(folder / "masks" / f"{name}.png", mask_bytes)
        rows.append(
            {
                "image": name,
                "sha256": sha256_bytes(image_bytes),
                "mask_sha256": sha256_bytes(mask_bytes),
                "delivered_sha256": sha256_bytes(image_bytes),
                "delivery": "1",
                "slice": "dark" if number < 25 else "light",
                "group": name,
                "cluster": "dark-grey",
                "split": SPLITS[number % 5],
                "same_size": True,
                **image_statistics(image),
                **mask_statistics(mask, "instances", ["nucleus"]),
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def good() -> pd.DataFrame:
    return make_manifest()


def found(outcome: Outcome) -> dict[str, list[str]]:
    """Returns the rows that fail, by the expectation's name."""
    out: dict[str, list[str]] = {}
    for finding in outcome.errors + outcome.warnings:
        out.setdefault(finding.check.name, []).extend(row.key for row in finding.rows)
    return out


def changed(manifest: pd.DataFrame, **values: dict[int, object]) -> pd.DataFrame:
    """Returns a copy with other values: `column={row: value}`."""
    manifest = manifest.copy()
    for column, cells in values.items():
        for row, value in cells.items():
            manifest.loc[row, column] = value
    return manifest


def test_at_least_25_expectations_and_each_has_a_default_severity() -> None:
    suite = checks(Validation(), DATASET, None)
    names = {check.name for check in suite}
    assert len(names) >= 25
    assert names <= set(DEFAULTS)


def test_every_name_that_a_recipe_may_use_is_an_expectation(good: pd.DataFrame) -> None:
    two = Dataset(adapter="folders", masks="classes", classes=["a", "b"], slices={}, splits={})
    known = infer(good, "cells", DATASET).model_copy(
        update={"columns": tables.kinds(good) | {"more": tables.TEXT}}
    )
    names = {check.name for check in checks(Validation(), DATASET, known)}
    names |= {check.name for check in checks(Validation(), two, None)}
    assert names == set(DEFAULTS)


def test_good_examples_hold_everything_also_against_their_own_baseline(good: pd.DataFrame) -> None:
    options = Validation(baseline_tolerance=0.0)
    outcome = check(good, options, DATASET, infer(good, "cells", DATASET))
    assert found(outcome) == {}
    assert outcome.passed


def test_without_a_baseline_it_says_so_and_passes(good: pd.DataFrame) -> None:
    outcome = check(good, Validation(), DATASET, None)
    assert list(found(outcome)) == ["baseline-there"]
    assert outcome.passed
    assert outcome.verdict == "Valid, 1 warning"
    assert outcome.summary[0].startswith("50 images, ")
    assert outcome.summary[0].endswith(" checks: no error, 1 warning.")
    assert outcome.summary[1].startswith("No baseline")


# What each expectation must find, if it is done to one image.
DAMAGES: dict[str, dict[str, object]] = {
    "image-digests": {"sha256": "0" * 63 + "G"},
    "mask-digests": {"mask_sha256": ""},
    "delivered-digests": {"delivered_sha256": "A" * 64},
    "deliveries-numbered": {"delivery": "first"},
    "no-missing-values": {"brightness": None},
    "splits-known": {"split": "holdout"},
    "slices-named": {"slice": "<b>"},
    "groups-named": {"group": ""},
    "height-limits": {"height": 31},
    "width-limits": {"width": 4097},
    "bits": {"bits": 12},
    "channels": {"channels": 2},
    "blank-images": {"contrast": 0.1},
    "saturated-images": {"median": 255.0},
    "mask-size": {"same_size": False},
    "mask-values": {"highest_value": 65_536},
    "instances-contiguous": {"highest_value": 9},
    "masks-not-empty": {"objects": 0, "highest_value": 0},
    "foreground-limit": {"foreground": 0.96},
    "object-count": {"objects": 2001},
    "small-objects": {"smallest_object": 3},
    "large-objects": {"largest_object": 64 * 80},
    "border-objects": {"border_objects": 4},
    "baseline-slices": {"slice": "other"},
    "bits-baseline": {"bits": 16},
    "channels-baseline": {"channels": 3},
    "height-baseline": {"height": 90},
    "width-baseline": {"width": 90},
    "brightness-baseline": {"brightness": 200.0},
    "contrast-baseline": {"contrast": 3.0},
    "saturation-baseline": {"saturation": 0.3},
    "sharpness-baseline": {"sharpness": 0.0},
    "foreground-baseline": {"foreground_nucleus": 0.9},
    "object-count-baseline": {"objects": 99, "highest_value": 99},
    "object-size-baseline": {"median_object": 999.0},
}


def test_each_damage_is_found_by_its_expectation_and_in_no_other_image(good: pd.DataFrame) -> None:
    damaged, rows = good.copy(), {}
    for row, (name, values) in enumerate(DAMAGES.items()):
        rows[name] = f"cell-{row:02d}"
        for column, value in values.items():
            damaged.loc[row, column] = value
    outcome = check(damaged, Validation(), DATASET, infer(good, "cells", DATASET))
    names = found(outcome)
    for name, image in rows.items():
        assert image in names[name], name
    of_images = {
        row.key
        for finding in outcome.errors + outcome.warnings
        if finding.check.table == "images"
        for row in finding.rows
    }
    assert of_images == set(rows.values())
    for finding in outcome.findings:
        assert finding.check.severity == DEFAULTS[finding.check.name]


def test_what_two_images_share_is_found(good: pd.DataFrame) -> None:
    one, two = "a" * 64, "b" * 64
    damaged = changed(
        good,
        image={40: "cell-41"},
        sha256={3: one, 8: one, 10: two, 14: two},  # in one split; in two
        mask_sha256={20: one, 21: one},
        group={30: "both", 34: "both"},
    )
    outcome = check(damaged, Validation(), DATASET, None)
    names = found(outcome)
    assert names["ids-unique"] == ["cell-41", "cell-41"]
    assert names["duplicate-images"] == ["cell-03", "cell-08", "cell-10", "cell-14"]
    assert names["duplicate-masks"] == ["cell-20", "cell-21"]
    assert names["content-leakage"] == ["cell-10", "cell-14"]
    assert names["group-leakage"] == ["cell-30", "cell-34"]
    (twins,) = [f for f in outcome.warnings if f.check.name == "duplicate-images"]
    assert twins.says.startswith(
        "expected: no two images have the same content; not so for "
        "cell-03 (image twin cell-08), cell-08 (image twin cell-03)"
    )


def test_what_a_split_lacks_is_found(good: pd.DataFrame) -> None:
    # No dark image is validated on, no image shows the class in the test split.
    damaged = changed(
        good,
        split=dict.fromkeys(range(3, 25, 5), "train"),
        foreground_nucleus=dict.fromkeys(range(4, IMAGES, 5), 0.0),
    )
    names = found(check(damaged, Validation(), DATASET, None))
    assert names["split-shares"] == ["train", "validation"]
    assert {"train, dark", "validation, dark"} <= set(names["slice-shares"])
    assert names["slice-coverage"] == ["validation, dark"]
    assert names["class-coverage"] == ["test, nucleus"]
    untested = changed(good, split=dict.fromkeys(range(4, IMAGES, 5), "train"))
    outcome = check(untested, Validation(), DATASET, None)
    assert "splits-present" in [finding.check.name for finding in outcome.errors]


@pytest.mark.parametrize("damage", ["absent", "text", "no rows", "nothing"])
def test_a_manifest_of_another_shape_fails_and_does_not_crash(
    good: pd.DataFrame, damage: str
) -> None:
    manifest = {
        "absent": good.drop(columns=["foreground", "split"]),
        "text": good.assign(brightness="bright"),
        "no rows": good.iloc[:0],
        "nothing": pd.DataFrame(),
    }[damage]
    outcome = check(manifest, Validation(), DATASET, None)
    assert not outcome.passed
    names = found(outcome)
    if damage == "absent":
        assert "columns" in names
        assert set(names["column-types"]) == {"foreground", "split"}
        (columns,) = [f for f in outcome.errors if f.check.name == "columns"]
        assert columns.says.endswith("missing foreground, split")
    if damage == "text":
        assert names["column-types"] == ["brightness"]
    if damage == "no rows":
        assert "row-count" in names


def test_values_of_masks_are_what_the_dataset_says(good: pd.DataFrame) -> None:
    for kind, limit in (("classes", 2), ("multilabel", 3)):
        dataset = Dataset(
            adapter="folders", masks=kind, classes=["disc", "cup"], slices={}, splits={}
        )
        manifest = good.assign(foreground_disc=0.2, foreground_cup=0.1, highest_value=limit)
        assert "mask-values" not in found(check(manifest, Validation(), dataset, None))
        above = changed(manifest, highest_value={3: limit + 1}, foreground_cup={5: 0.0})
        names = found(check(above, Validation(), dataset, None))
        assert names["mask-values"] == ["cell-03"]
        assert names["class-in-image"] == ["cell-05"]


def test_a_baseline_of_other_classes_is_an_error(good: pd.DataFrame) -> None:
    other = infer(good, "cells", DATASET).model_copy(update={"classes": ["cell"]})
    outcome = check(good, Validation(), DATASET, other)
    assert found(outcome)["baseline-masks"] == ["classes"]
    assert not outcome.passed


def test_a_slice_whose_baseline_rests_on_few_images_is_not_compared(good: pd.DataFrame) -> None:
    baseline = infer(good, "cells", DATASET)
    dark = changed(good, brightness={3: 200.0})
    options = Validation(min_baseline_images=26)
    assert found(check(dark, options, DATASET, baseline)) == {}


def test_severities_come_from_the_recipe(good: pd.DataFrame) -> None:
    damaged = changed(good, same_size={3: False}, median={3: 255.0}, contrast={3: 0.1})
    options = Validation(
        severity={"mask-size": "warning", "saturated-images": "error", "blank-images": "off"}
    )
    outcome = check(damaged, options, DATASET, None)
    assert [f.check.name for f in outcome.errors] == ["saturated-images"]
    assert sorted(f.check.name for f in outcome.warnings) == ["baseline-there", "mask-size"]


def test_images_of_few_bits_in_16_are_not_blank(good: pd.DataFrame) -> None:
    """As cameras of 9 or 10 bits deliver them: 0.2 to 0.5 of 255 grey levels at full scale."""
    deep = [image_statistics(pictures(n)[0].astype(np.uint16) * 2) for n in range(IMAGES)]
    flat = image_statistics(np.full((64, 80), 300, np.uint16))
    manifest = good.assign(**{name: [row[name] for row in deep] for name in flat})
    assert manifest["contrast"].max() < Validation().min_contrast
    assert "blank-images" not in found(check(manifest, Validation(), DATASET, None))
    blank = changed(manifest, **{name: {7: value} for name, value in flat.items()})
    assert found(check(blank, Validation(), DATASET, None))["blank-images"] == ["cell-07"]


def test_a_slice_that_is_gone_is_found(good: pd.DataFrame) -> None:
    names = found(check(good[:25], Validation(), DATASET, infer(good, "cells", DATASET)))
    assert names == {"slice-coverage": [f"{s}, light" for s in ("train", "validation", "test")]}


def test_split_shares_allow_for_one_group(good: pd.DataFrame) -> None:
    """Groups are never cut: ten images in one group may be too many or too few."""
    manifest = good.copy()
    manifest["split"] = ["train"] * 38 + ["validation"] * 8 + ["test"] * 4
    assert "test" in found(check(manifest, Validation(), DATASET, None))["split-shares"]
    manifest.loc[:14, "group"] = "one"
    assert "split-shares" not in found(check(manifest, Validation(), DATASET, None))


def test_many_failures_are_counted_but_not_all_named(good: pd.DataFrame) -> None:
    many = pd.concat([good] * 48, ignore_index=True).assign(same_size=False)
    many["image"] = [f"cell-{n}" for n in range(len(many))]
    (size,) = [
        item
        for item in check(many, Validation(), DATASET, None).as_json()["failed"]
        if item["name"] == "mask-size"
    ]
    assert size["count"] == len(many) == 2400
    assert len(size["images"]) == 1000
    assert size["says"].endswith("and 2390 more")


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    """A workspace with a dataset and examples, two of whose images do not hold."""
    root = Path(__file__).parents[2]
    shutil.copy(root / "dvc.yaml", tmp_path)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["datasets"]["dsb2018"]["splits"] = {"validation": 0.2, "test": 0.2}
    write_text(tmp_path / "params.yaml", yaml.safe_dump(params))
    workspace = Workspace(tmp_path, tmp_path)
    assert load_params(workspace.params)
    manifest = make_manifest(workspace.dataset("dsb2018"))
    manifest = changed(
        manifest, same_size={3: False}, foreground={4: 0.99}, slice={5: "<script>alert(1)</script>"}
    )
    (workspace.dataset("dsb2018") / "images" / "cell-04.png").unlink()
    path = Examples.of(workspace, "nuclei").manifest
    path.parent.mkdir(parents=True)
    manifest.to_parquet(path, index=False)
    return workspace


def test_the_stage_writes_result_statistics_and_docs(made: Workspace) -> None:
    result = validate_examples(made, "nuclei")
    found = read_json(result.result)
    assert found["passed"] is False
    assert {item["name"] for item in found["failed"]} == {
        "mask-size", "foreground-limit", "slices-named"
    }  # fmt: skip
    (size,) = [item for item in found["failed"] if item["name"] == "mask-size"]
    assert size["images"] == ["cell-03"]
    assert size["expectation"] == "ExpectColumnValuesToBeInSet"
    assert found["baseline"] is None
    assert len(found["examples_digest"]) == 64
    tree = read_json(result.root / "statistics.json")
    frame = pd.read_parquet(result.root / "statistics.parquet")
    assert tree["train"]["light"]["brightness"]["n"] == 15
    row = frame.query("split == 'all' and slice == 'light' and column == 'brightness'")
    assert row["n"].item() == 25
    _looks_the_same_without_a_network(result.docs.parent)
    _shows_the_images(result.docs.parent)


def _looks_the_same_without_a_network(docs: Path) -> None:
    pages = sorted(docs.rglob("*.html"))
    assert len(pages) >= 8  # the index, the findings, three suites, three results
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r'<(?:script|link|img)\b[^>]*?(?:src|href)="([^"]*)"', text)
        assert any("bootstrap.min.css" in path for path in loaded)
        for path in loaded:
            assert (page.parent / path).is_file(), f"{page}: {path}"
        assert not re.search(r"url\(['\"]?(https?:)?//", text)
        assert "Content-Security-Policy" in text
        assert "segtrail-check-" not in text
        assert "<script>alert" not in text


def _shows_the_images(docs: Path) -> None:
    page = (docs / "findings.html").read_text()
    assert "NOT VALID" in page
    shown = re.findall(r'<img [^>]*src="(thumbnails/[^"]*)" alt="([^"]*)"', page)
    assert {name for _, name in shown} >= {"cell-03", "cell-05"}
    assert "cell-04<br>foreground 0.99" in page  # named, though its picture is gone
    assert "&lt;script&gt;" in page
    (results,) = docs.glob("validations/images/*/*/*.html")
    assert f"findings.html#check-{_number(page, 'mask-size')}" in results.read_text()
    assert "findings.html" in (docs / "index.html").read_text()


def test_warnings_alone_are_neither_green_nor_red(good: pd.DataFrame, tmp_path: Path) -> None:
    baseline = infer(good, "cells", DATASET)

    def docs(name: str, **values: dict[int, object]) -> tuple[str, str, str]:
        site = tmp_path / name
        check(changed(good, **values), Validation(), DATASET, baseline, docs=site)
        (result,) = site.glob("validations/images/*/*/*.html")
        pages = (site / "index.html", site / "findings.html", result)
        index, findings, images = (page.read_text() for page in pages)
        return index, findings, images

    twins = {20: "a" * 64, 21: "a" * 64}
    index, findings, images = docs("warnings", mask_sha256=twins, smallest_object={3: 3})
    for page in (index, findings, images):
        assert "alert-warning" in page
        assert "<strong>Valid, 2 warnings.</strong>" in page
    assert "50 images, " in index
    assert "fa-times" not in index
    assert index.count("fa-exclamation-triangle text-warning") == 1
    assert sorted(re.findall(r"_validation_success_text': '(\w+)'", index)) == [
        "Success", "Success", "Warnings",
    ]  # fmt: skip
    assert re.search(r"Status:</span> <i [^>]*text-warning[^>]*></i> 2 warnings", images)
    assert "Expected: no two images have the same mask; not so for <strong>2 of 50" in findings

    index, findings, images = docs("errors", mask_sha256=twins, same_size={3: False})
    for page in (index, findings, images):
        assert "alert-danger" in page
        assert "<strong>NOT VALID, 1 error, 1 warning.</strong>" in page
    assert "_validation_success_text': 'Failed'" in index
    assert "Warnings'" not in index
    assert re.search(r"Status:</span> <i [^>]*></i> Failed", images)

    index, findings, _ = docs("nothing")
    assert "alert-success" in index
    assert "<strong>Valid.</strong>" in index
    assert "alert-success" in findings


def _number(page: str, name: str) -> str:
    number = re.search(rf'id="check-(\d+)"[^§]*?<code>{name}<', page.replace("<section", "§"))
    assert number
    return number[1]


def test_it_is_said_how_many_images_were_checked(made: Workspace, capsys) -> None:
    result = read_json(validate_examples(made, "nuclei").result)
    first = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(
        rf"NOT VALID: 50 images, {result['expectations']} checks: 3 errors, \d+ warnings\.", first
    )
    assert result["images"] == 50


def test_the_same_examples_give_the_same_result(made: Workspace) -> None:
    first = validate_examples(made, "nuclei").result.read_bytes()
    assert validate_examples(made, "nuclei").result.read_bytes() == first


def test_a_damaged_baseline_is_refused_before_anything_is_written(made: Workspace) -> None:
    write_text(made.root / "expectations" / "dsb2018.json", '{"format": 1, "images": "many"}')
    with pytest.raises(ConfigError, match=r"dsb2018\.json: not a baseline"):
        validate_examples(made, "nuclei")
    assert not ValidationResult.of(made, "nuclei").root.exists()


def test_a_damaged_manifest_is_refused(made: Workspace) -> None:
    write_text(Examples.of(made, "nuclei").manifest, "PAR1 and no more")
    with pytest.raises(DataError, match="not readable as Parquet"):
        validate_examples(made, "nuclei")
