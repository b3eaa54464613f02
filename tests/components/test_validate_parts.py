"""Statistics, baseline and the pages of validation, without Great Expectations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.validating import baseline as baselines
from components.validating import offline, pages, thumbnails
from components.validating.running import Finding, Row
from components.validating.statistics import as_frame, as_tree, statistics
from components.validating.suite import checks
from components.validating.tables import splits_table
from segtrail.errors import ConfigError
from segtrail.files import sha256_bytes, write_bytes, write_text
from segtrail.images import decode_image, encode_png
from segtrail.params import load_params
from segtrail.settings.dataset import Dataset, MaskKind, Splits
from segtrail.settings.validation import Validation

ROOT = Path(__file__).parents[2]
FINITE = st.floats(-1e6, 1e6, allow_nan=False, width=32)
DATASET = Dataset(adapter="folders", masks="classes", classes=["cell"], slices={}, splits={})


def cells(values: np.ndarray) -> pd.DataFrame:
    """Returns a manifest with these values of brightness, in two splits and two slices."""
    n = len(values)
    return pd.DataFrame(
        {
            "split": ["train", "test"] * (n // 2) + ["train"] * (n % 2),
            "slice": ["a", "a", "b"] * (n // 3) + ["a"] * (n % 3),
            "bits": 8,
            "brightness": values,
        }
    )


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(np.float64, st.integers(1, 30), elements=FINITE))
def test_statistics_are_numpys(values: np.ndarray) -> None:
    manifest = cells(values)
    tree = as_tree(statistics(manifest))
    for (split, slice_), rows in manifest.groupby(["split", "slice"]):
        cell, column = tree[split][slice_]["brightness"], rows["brightness"].to_numpy()
        assert cell["n"] == len(column)
        assert cell["missing"] == 0
        assert cell["mean"] == pytest.approx(column.mean(), abs=1e-6)
        assert cell["std"] == pytest.approx(column.std(), abs=1e-4)
        assert (cell["min"], cell["max"]) == (column.min(), column.max())
        for key, q in (("p5", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)):
            assert cell[key] == pytest.approx(np.quantile(column, q), abs=1e-6)
        assert tree[split][slice_]["bits"] == {"8": len(column)}
    assert tree["all"]["all"]["slice"] == manifest["slice"].value_counts().to_dict()


def test_statistics_of_what_is_missing() -> None:
    manifest = cells(np.array([1.0, np.nan, np.nan, 3.0, np.nan, np.nan]))
    tree = as_tree(statistics(manifest))
    assert tree["train"]["a"]["brightness"] == {
        "n": 1, "missing": 1, "mean": 1.0, "std": 0.0, "min": 1.0, "p5": 1.0, "p25": 1.0,
        "p50": 1.0, "p75": 1.0, "p95": 1.0, "max": 1.0,
    }  # fmt: skip
    assert tree["test"]["a"]["brightness"]["n"] == 2 - 1
    assert tree["train"]["b"]["brightness"]["mean"] is None
    assert as_frame(statistics(manifest.iloc[:0])).empty


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(np.float64, st.integers(1, 20), elements=FINITE))
def test_a_baseline_holds_the_images_that_it_was_made_of(values: np.ndarray) -> None:
    found = baselines.range_of(pd.Series(values))
    slack = 1e-9 * np.abs(values).max()
    assert found.min <= values.min() + slack
    assert found.max >= values.max() - slack
    assert found.min == pytest.approx(values.min(), rel=2e-5, abs=1e-12)
    assert found.max == pytest.approx(values.max(), rel=2e-5, abs=1e-12)


def baseline_of(brightness: float = 10.0, slices: tuple[str, ...] = ("dark",)) -> pd.DataFrame:
    rows = {name: [1.0, 2.0] for name in baselines.COMPARED}
    rows |= {"brightness": [brightness, brightness + 5], "foreground_cell": [0.1, 0.2]}
    rows |= {"bits": [8, 16], "channels": [1, 1], "image": ["one", "two"]}
    rows |= {"sha256": ["a" * 64, "b" * 64], "mask_sha256": ["c" * 64, "d" * 64]}
    return pd.concat([pd.DataFrame(rows).assign(slice=name) for name in slices])


def test_the_difference_of_baselines_names_what_differs() -> None:
    was = baselines.infer(baseline_of(), "cells", DATASET)
    assert baselines.difference(was, was) == []
    now = baselines.infer(baseline_of(20.0, ("dark", "light")), "cells", DATASET)
    fields = {field: (old, new) for field, old, new in baselines.difference(was, now)}
    assert fields["images"] == ("2", "4")
    assert fields["slices.light.images"] == ("—", "2")
    old, new = fields["slices.dark.ranges.brightness"]
    assert old.startswith("10 to 15 (")
    assert new.startswith("20 to 25 (")
    assert "slices.dark.bits" not in fields
    gone = {field: new for field, _, new in baselines.difference(now, was)}
    assert gone["slices.light.images"] == "—"


def test_a_baseline_survives_its_file(tmp_path: Path) -> None:
    known = baselines.infer(baseline_of(), "cells", DATASET)
    path = tmp_path / "cells.json"
    assert baselines.read(path) is None
    write_text(path, baselines.to_json(known))
    assert baselines.read(path) == known
    for damaged in ("", "[]", baselines.to_json(known).replace('"format": 1', '"format": 2')):
        write_text(path, damaged)
        with pytest.raises(ConfigError, match=r"cells\.json: not a baseline"):
            baselines.read(path)


def test_shipped_baselines_are_of_datasets_that_exist() -> None:
    datasets = load_params(ROOT / "params.yaml").datasets
    shipped = sorted((ROOT / "expectations").glob("*.json"))
    assert shipped
    for path in shipped:
        known = baselines.read(path)
        assert known is not None
        assert known.dataset == path.stem
        assert known.classes == datasets[path.stem].classes
        assert known.masks == datasets[path.stem].masks
        assert baselines.to_json(known) == path.read_text()


def test_the_share_of_a_split_is_off_by_what_groups_do_not_explain() -> None:
    manifest = pd.DataFrame(
        {
            "split": ["train"] * 6 + ["test"] * 4,
            "slice": "a",
            "group": ["g1"] * 2 + [f"h{n}" for n in range(8)],
            "foreground_cell": 0.1,
        }
    )
    table = splits_table(manifest, Splits(validation=0.2, test=0.1), ["cell"])
    off = table[table["part"] == "all"].set_index("split")["off"]
    assert off["train"] == pytest.approx(0.0)  # 0.6 of 0.7; one group is 0.2
    assert off["validation"] == pytest.approx(0.0)  # 0 of 0.2
    assert off["test"] == pytest.approx(0.1)  # 0.4 of 0.1, less 0.2


def test_the_page_says_how_many_images_result_json_names(tmp_path: Path) -> None:
    (mask_size,) = [c for c in checks(Validation(), DATASET, None) if c.name == "mask-size"]
    rows = tuple(Row(f"cell-{n}", "") for n in range(1000))
    finding = Finding(mask_size, False, 2400, 2400, rows)
    pages.add_findings(tmp_path, [finding], {}, ["NOT VALID"])
    page = (tmp_path / pages.PAGE).read_text()
    assert "2,400 of 2,400 images" in page
    assert f"and {2400 - pages.PICTURES:,} more; result.json names 1,000 of all" in page


@pytest.mark.parametrize(
    ("severity", "says"),
    [
        ({"mask-siz": "off"}, "did you mean 'mask-size'"),
        ({"anything": "off"}, "there are columns"),
        ({"mask-size": "fatal"}, "'error', 'warning' or 'off'"),
    ],
)
def test_a_severity_is_checked(severity: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Validation.model_validate({"severity": severity})


def test_off_is_a_word_in_yaml_too() -> None:
    options = Validation.model_validate(yaml.safe_load("severity: {mask-size: off}"))
    assert options.severity == {"mask-size": "off"}


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 300), st.integers(1, 300)),
        fill=st.integers(0, 255),
    )
)
def test_a_thumbnail_fits_and_keeps_its_proportions(pixels: np.ndarray) -> None:
    mask = (pixels > 100).astype(np.uint16)
    small = decode_image(thumbnails.thumbnail(pixels, mask), "thumbnail")
    assert small.ndim == 3
    assert max(small.shape[:2]) == min(max(pixels.shape), thumbnails.SIDE)
    ratio = max(pixels.shape) / min(max(pixels.shape), thumbnails.SIDE)
    for now, was in zip(small.shape, pixels.shape, strict=False):
        assert abs(now - was / ratio) <= 1


def test_the_mask_is_outlined_in_green_and_not_filled() -> None:
    mask = np.zeros((60, 60), np.uint16)
    mask[20:40, 20:40] = 1
    picture = decode_image(thumbnails.thumbnail(np.zeros((60, 60), np.uint8), mask), "thumbnail")
    green = picture[..., 1] > 100
    assert green[20, 20:40].all()
    assert not green[25:35, 25:35].any()
    assert not green[:18].any()


@pytest.mark.parametrize("kind", ["instances", "classes", "multilabel"])
def test_objects_too_small_to_be_seen_have_a_ring(kind: MaskKind) -> None:
    """Two pixels of a photograph of 1,600: a sixth of a pixel of its thumbnail."""
    tiny = thumbnails.Tiny(kind, 2, below=4)
    mask = np.zeros((1200, 1600), np.uint16)
    mask[100:300, 100:400] = 1  # far from being tiny
    pixels = np.full(mask.shape, 90, np.uint8)
    without = decode_image(thumbnails.thumbnail(pixels, mask, tiny), "thumbnail").astype(int)
    mask[800:802, 1200] = 2
    assert thumbnails.tiny_objects(mask, tiny) == [((800.5, 1200.0), 2)]
    ringed = decode_image(thumbnails.thumbnail(pixels, mask, tiny), "thumbnail").astype(int)
    rows, columns = np.nonzero(np.abs(ringed - without).max(axis=2) > 40)
    scale = 192 / 1600
    assert abs(rows.mean() - 801 * scale) < 1.5
    assert abs(columns.mean() - 1200.5 * scale) < 1.5
    assert 10 < np.ptp(rows) < 24
    assert np.ptp(columns) == pytest.approx(np.ptp(rows), abs=2)
    reddish = ringed[rows, columns]
    assert reddish[:, 0].mean() > reddish[:, 1].mean() + 40


def test_rings_do_not_fill_the_picture() -> None:
    mask = np.zeros((100, 100), np.uint16)
    mask[::4, ::4] = np.arange(1, 626).reshape(25, 25)
    assert len(thumbnails.tiny_objects(mask, thumbnails.Tiny("instances", 1, 4))) == 50
    assert thumbnails.tiny_objects(mask, thumbnails.Tiny("instances", 1, 1)) == []


def test_pictures_are_of_the_very_images_and_of_no_other_file(tmp_path: Path) -> None:
    png = encode_png(np.arange(64, dtype=np.uint8).reshape(8, 8))
    data = tmp_path / "data"
    for name in ("kept", "changed"):
        write_bytes(data / "images" / f"{name}.png", png)
        write_bytes(data / "masks" / f"{name}.png", png)
    write_bytes(data / "secret.png", png)
    digest = (sha256_bytes(png), sha256_bytes(png))
    digests = {
        "kept": digest, "changed": ("0" * 64, digest[1]), "gone": digest, "../secret": digest,
        "a\0b": digest,
    }  # fmt: skip
    out = tmp_path / "thumbnails"
    assert list(thumbnails.write([*digests, "unknown"], digests, data, out)) == ["kept"]
    assert len(list(out.iterdir())) == 1


def test_pages_load_nothing_remote_whatever_they_ask_for() -> None:
    page = """<html><head><script src="https://cdn.example/vega@5"></script>
    <script src="//cdn.example/jquery-3.7.1.min.js?x" integrity="sha384-x"></script>
    <link rel="stylesheet" href="https://cdn.example/all.min.css">
    <style>a { background: url('https://cdn.example/x.png') 0 0; }</style></head>
    <body><img class="x" src="https://cdn.example/logo-long.png?d=1"><p>text</p>
    <footer><a href="https://example.org">news</a></footer></body></html>"""
    out = offline.rewritten(page, "../../")
    assert "example" not in out
    assert '<script src="../../static/js/jquery.min.js"></script>' in out
    assert 'href="../../static/css/solid.min.css"' in out
    assert '<img class="x" src="../../static/images/logo-long.png">' in out
    assert "<p>text</p>" in out


def test_assets_are_small_and_licensed() -> None:
    files = [path for path in offline.ASSETS.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 1 << 20
    licences = {path.stem for path in (offline.ASSETS / "licences").iterdir()}
    named = (offline.ASSETS / "README.md").read_text()
    for path in [*offline.ASSETS.glob("css/*"), *offline.ASSETS.glob("js/*")]:
        assert path.name in named or path.name.startswith("bootstrap-table")
    assert {"bootstrap", "bootstrap-table", "jquery", "popper", "fontawesome-free"} <= licences
