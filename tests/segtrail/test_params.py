"""`params.yaml`: what is wrong is said by key, value, what is allowed, and the near match."""

from pathlib import Path

import pytest
import yaml

from segtrail.errors import ConfigError
from segtrail.params import load_params, load_params_for, load_recipe
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def problem(raw, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    return str(caught.value)


def test_the_shipped_file_is_right():
    params = load_params(ROOT / "params.yaml")
    assert {"demo", "nuclei"} <= set(params.recipes)
    assert {"synthetic", "dsb2018"} <= set(params.datasets)


def test_an_unknown_key_names_itself_the_allowed_ones_and_the_near_match(raw, tmp_path):
    raw["recipes"]["demo"]["training"]["stpes"] = 3
    said = problem(raw, tmp_path)
    assert "recipes.demo.training.stpes: unknown key" in said
    assert "batch_size" in said
    assert "Did you mean 'steps'?" in said


def test_an_unknown_key_in_a_list_of_rules(raw, tmp_path):
    raw["recipes"]["demo"]["gate"]["absolute"][0]["metrik"] = "x"
    said = problem(raw, tmp_path)
    assert "recipes.demo.gate.absolute.0.metrik: unknown key" in said
    assert "'metric'" in said


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("network", "depth", 99, "got 99; input should be less than or equal to 6"),
        ("network", "depth", "deep", "got 'deep'; input should be a valid integer"),
        ("training", "loss", "bce_dise", "Did you mean 'bce_dice'?"),
        ("training", "crop", 90, "recipes.demo.training.crop"),
        ("training", "crop", 512, "must not be above preprocessing.tile"),
        ("preprocessing", "stride", 500, "pixels between the tiles would never be seen"),
        ("preprocessing", "invert_bright", "yes", "got 'yes'; input should be a valid boolean"),
        ("training", "steps", "200", "got '200'; input should be a valid integer"),
        ("training", "steps", 200.0, "got 200.0; input should be a valid integer"),
        ("training", "steps", True, "got True; input should be a valid integer"),
        ("training", "learning_rate", "1e-3", "write 1.0e-3 for 1e-3"),
        ("training", "learning_rate", float("nan"), "recipes.demo.training.learning_rate: got nan"),
        ("validation", "min_side", 5000, "min_side (5000) must not be above max_side (4096)"),
        ("serving", "target", "host:0", "got 'host:0'; the port should be between 1 and 65535"),
        ("serving", "target", "nowhere", "got 'nowhere'; expected host:port, such as 127.0.0.1:"),
        ("serving", "target", "http://host:8500", "8500, without http://"),
        ("serving", "target", "[::1]:8500", "expected a name or an IPv4 address"),
        ("serving", "target", "host:65536", "the port should be between 1 and 65535"),
        ("serving", "tls", {"key": "tls/key"}, "key and certificate come together"),
        ("serving", "tls", {"ca": " "}, "expected the path of a PEM file; got nothing"),
        ("serving", "tls", {"caa": "x"}, "allowed here: ca, certificate, key, name. Did you mean"),
        ("objects", "min_size", None, "got None; input should be a valid integer"),
        ("training", "seed", -1, "got -1; input should be greater than or equal to 0"),
        ("drift", "seed", 2**32, "got 4294967296; input should be less than 4294967296"),
    ],
)
def test_a_wrong_value_says_what_was_given_and_what_is_allowed(
    raw, tmp_path, section, key, value, says
):
    raw["recipes"]["demo"].setdefault(section, {})[key] = value
    assert says in problem(raw, tmp_path)


def test_a_key_in_params_yaml_is_refused_and_not_repeated(raw, tmp_path):
    key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"
    raw["recipes"]["demo"]["serving"]["tls"] = {"key": key, "certificate": "tls/certificate"}
    said = problem(raw, tmp_path)
    assert "recipes.demo.serving.tls.key: expected the path of a PEM file, not its text" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("training.early_stopping", {"patience": 8, "restore_best_weights": True},
         "training.early_stopping.restore_best_weights: unknown key; allowed here: min_delta, "
         "patience."),
        ("training.early_stopping", {"patiense": 8}, "Did you mean 'patience'?"),
        ("objects.watershed", {"smoth": 8}, "allowed here: depth, smooth. Did you mean 'smooth'?"),
        ("training.schedule", "plateau",
         "training.schedule: got 'plateau'; expected keys and values, such as {kind: cosine}"),
        ("training.early_stopping", True, "got True; expected keys and values, such as "
         "{patience: 5}"),
        ("training.hardware", "gpu", "got 'gpu'; expected keys and values, such as "
         "{strategy: auto}"),
        ("training.augmentation", ["flip"], "got ['flip']; expected keys and values, such as "
         "{flip: true}"),
        ("objects.watershed", True, "such as {smooth: 3.0}"),
        ("training", 60, "such as {batch_size: 8}; required: steps"),
        ("network", "unet", "such as {base_filters: 16}"),
        ("gate.absolute", ["mean_iou"], "absolute.0: got 'mean_iou'; expected keys and values, "
         "such as {slice: all}; required: metric"),
        ("validation.severity", "off", "severity: got 'off'; expected keys and values"),
        ("preprocessing.resize", [64, 64, 3],
         "preprocessing.resize: got [64, 64, 3]; expected at most 2 items"),
        ("preprocessing.resize", [64], "got [64]; expected at least 2 items"),
        ("training.schedule", {"kind": "cosin", "patience": 1},
         "schedule.kind: got 'cosin'; input should be 'constant', 'cosine', 'step' or 'plateau' "
         "Did you mean 'cosine'?"),
        ("training.schedule", {"kind": "cosine", "patience": 1}, "patience is read by"),
        ("training.hardware", {"xla": "yes"}, "xla: got 'yes'; input should be 'auto', 'on'"),
        ("training.hardware", {"xla": 1}, "xla: got 1; input should be 'auto', 'on'"),
        ("network", {"preset": "unet-64", "name": "residual_unet"},
         "recipes.demo.network: preset unet-64 is a unet: leave out name"),
        ("network", {"preset": "attention-unet-64", "name": "unet"},
         "preset attention-unet-64 is an attention_unet: leave out name"),
        ("network", {"preset": "nuclei-starter", "depth": 3},
         "preset nuclei-starter has dropout rates for depth: 4; with depth: 3 write dropout too"),
    ],
)  # fmt: skip
def test_what_a_section_expects_is_said_in_plain_words(raw, tmp_path, place, value, says):
    put(raw, place, value)
    said = problem(raw, tmp_path)
    assert says in said
    assert len(said.splitlines()) == 2  # the file, and one problem
    assert "instance of" not in said


def put(raw, place, value):
    *sections, key = place.split(".")
    node = raw["recipes"]["demo"]
    for section in sections:
        node = node[section]
    node[key] = value


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("training.lr", 0.1, "allowed here: augmentation, batch_size"),
        ("training.lr", 0.1, "Did you mean 'learning_rate'?"),
        ("training.epochs", 9, "training.steps says how long; validate_every"),
        ("training.optimizer", "adam", "AdamW with training.weight_decay; weight_decay: 0 is Adam"),
        ("training.loss", "binary_crossentropy", "Did you mean 'bce'?"),
        ("training.loss", "categorical_crossentropy", "Did you mean 'cross_entropy'?"),
        ("training.loss", "sparse_categorical_crossentropy", "Did you mean 'cross_entropy'?"),
        ("training.loss", "dice", "Did you mean 'bce_dice'?"),
        ("network.name", "resunet", "Did you mean 'residual_unet'?"),
        ("network.name", "attention", "Did you mean 'attention_unet'?"),
        ("network.name", "UNet++", "Did you mean 'unet_plus_plus'?"),
    ],
)
def test_words_of_keras_lead_to_segtrail_s(raw, tmp_path, place, value, says):
    put(raw, place, value)
    assert says in problem(raw, tmp_path)


@pytest.mark.parametrize(("written", "read"), [("on", "on"), ("off", "off"), ("auto", "auto")])
def test_xla_is_written_with_or_without_quotes(raw, tmp_path, written, read):
    put(raw, "training.hardware", {"xla": "XLA"})
    text = yaml.safe_dump(raw)
    path = tmp_path / "params.yaml"
    for spelt in (written, f'"{written}"'):
        path.write_text(text.replace("XLA", spelt))
        assert load_params(path).recipes["demo"].training.hardware.xla == read


@pytest.mark.parametrize("empty", ["", "- a", "text"])
def test_a_file_without_sections_says_which_it_needs(tmp_path, empty):
    path = tmp_path / "params.yaml"
    path.write_text(empty)
    with pytest.raises(ConfigError, match="expected keys and values; required: datasets, recipes"):
        load_params(path)


def test_a_key_that_is_given_twice_is_refused_with_its_lines(tmp_path):
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    line = next(n for n, each in enumerate(text.splitlines(), 1) if each == "      steps: 200")
    path.write_text(text.replace("      crop: 96\n", "      crop: 96\n      steps: 70\n"))
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    assert str(caught.value) == (
        f"{path}:\n  recipes.demo.training.steps: given twice, on lines {line} and {line + 3}; "
        "keep one"
    )
    path.write_text("datasets: {}\nrecipes:\n- {a: 1, b: 2, a: 3}\n- x\nrecipes: {}\n")
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    assert "recipes.0.a: given twice, on line 3;" in str(caught.value)
    assert "recipes: given twice, on lines 2 and 5" in str(caught.value)


def test_anchors_and_merge_keys_are_no_keys_given_twice(tmp_path):
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    shared = text.replace("    objects: {threshold", "    objects: &shared {threshold", 1)
    merged = shared.replace(
        "    objects: {threshold: 0.5, border_threshold: 0.3, grow: 3, min_size: 32}",
        "    objects:\n      <<: *shared\n      <<: {grow: 1}\n      min_size: 32", 1,
    )  # fmt: skip
    assert merged != shared != text
    path.write_text(merged)
    objects = load_params(path).recipes["nuclei"].objects
    assert (objects.border_threshold, objects.min_size) == (0.4, 32)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"metric": "mean_iou", "min": 80}, "mean_iou is between 0 and 1; a bound of 80"),
        ({"metric": "mean_dice", "min": -0.1}, "mean_dice is between 0 and 1"),
        ({"metric": "ap_50", "max": 1.5}, "ap_50 is between 0 and 1"),
        ({"metric": "count_error", "max": -1}, "count_error is 0 or more; a bound of -1"),
        ({"metric": "count_error", "min": 5}, "less is better: min would refuse the better"),
        ({"metric": "mean_iou", "max": 0.9}, "more is better: max would refuse the better"),
        ({"metric": "mean_iou", "min": float("inf")}, "absolute.0.min: got inf"),
        ({"metric": "mean_iou", "min": float("nan")}, "absolute.0.min: got nan"),
        ({"metric": "mean_iou", "min": "0.8"}, "absolute.0.min: got '0.8'"),
    ],
)
def test_a_bound_that_no_metric_can_reach_is_refused(raw, tmp_path, rule, says):
    raw["recipes"]["demo"]["gate"]["absolute"] = [rule]
    assert says in problem(raw, tmp_path)


def test_whole_numbers_do_for_fractions_and_count_error_may_pass_1(raw, tmp_path):
    raw["recipes"]["demo"]["training"]["oversample"] = 1
    rules = [{"metric": "count_error", "max": 3}, {"metric": "mean_iou", "min": 0}]
    raw["recipes"]["demo"]["gate"]["absolute"] = rules
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    recipe = load_params(path).recipes["demo"]
    assert recipe.training.oversample == 1.0
    assert recipe.gate.absolute[0].max == 3.0


@pytest.mark.parametrize(
    "section", ["preprocessing", "network", "objects", "validation", "serving", "training"]
)
def test_a_section_that_dvc_names_is_written_out(raw, tmp_path, section):
    del raw["recipes"]["demo"][section]
    assert f"recipes.demo.{section}: required, but not given" in problem(raw, tmp_path)


def test_the_slices_of_a_dataset_are_written_out(raw, tmp_path):
    del raw["datasets"]["synthetic"]["slices"]
    assert "datasets.synthetic.slices: required" in problem(raw, tmp_path)


def test_a_slice_is_not_called_like_all_images(raw, tmp_path):
    raw["datasets"]["synthetic"]["slices"]["dark-colour"] = "all"
    assert "datasets.synthetic.slices: 'all' stands for every image" in problem(raw, tmp_path)


def test_every_section_that_dvc_yaml_names_is_required():
    import re

    from segtrail.recipe import Recipe
    from segtrail.settings.dataset import Dataset

    text = (ROOT / "dvc.yaml").read_text()
    for kind, pattern in (
        (Recipe, r"recipes\.\$\{[^}]+\}\.(\w+)"),
        (Dataset, r"datasets\.\$\{[^}]+\}\.(\w+)"),
    ):
        named = set(re.findall(pattern, text))
        assert named
        assert not {name for name in named if not kind.model_fields[name].is_required()}


def test_a_setting_of_an_earlier_release_is_passed_over(raw, tmp_path):
    raw["recipes"]["demo"]["serving"]["golden_images"] = 3
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    recipe = load_recipe(Workspace(tmp_path, tmp_path), "demo")
    assert "golden_images" not in recipe.serving.model_dump()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("host", "127.0.0.1:4200", "expected an IPv4 address or a host's name"),
        ("ports", {"prefect": 5000}, "expected three ports"),
        ("ports", {"mlflow": 0}, "got 0"),
        ("prefect_database", "postgresql+asyncpg://a:secret@h/p", "the name of an environment"),
        ("artifacts", "s3://key:secret@bucket/p", "expected s3://bucket"),
        ("artefacts", "s3://bucket", "Did you mean 'artifacts'?"),
    ],
)
def test_what_the_platform_expects(raw, tmp_path, key, value, says):
    raw["platform"] = {key: value}
    said = problem(raw, tmp_path)
    assert f"\n  platform.{key}" in said
    assert says in said
    assert "secret" not in said


def test_the_platform_may_be_left_out(raw):
    assert "platform" not in raw
    found = load_params(ROOT / "params.yaml").platform
    assert (found.host, found.ports.prefect, found.artifacts) == ("127.0.0.1", 4200, None)


def test_a_missing_key_and_an_unknown_dataset(raw, tmp_path):
    del raw["recipes"]["demo"]["gate"]
    assert "recipes.demo.gate: required" in problem(raw, tmp_path)


def test_a_recipe_of_an_unknown_dataset_and_a_rule_on_an_unknown_slice(raw, tmp_path):
    raw["recipes"]["demo"]["dataset"] = "cifar"
    assert "'cifar', which is not under datasets" in problem(raw, tmp_path)
    raw["recipes"]["demo"]["dataset"] = "synthetic"
    raw["recipes"]["demo"]["gate"]["absolute"][0]["slice"] = "fluorescense"
    raw["datasets"]["synthetic"]["slices"] = {"*": "fluorescence"}
    told = problem(raw, tmp_path)
    assert "names the slice 'fluorescense'" in told
    assert "Did you mean 'fluorescence'?" in told


def test_a_file_that_is_not_yaml_or_not_there(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(ConfigError, match="not found"):
        load_params(path)
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        load_params(path)


def test_an_unknown_recipe_names_the_near_one():
    with pytest.raises(ConfigError, match="Did you mean 'nuclei'"):
        load_recipe(Workspace.at(ROOT), "nucleii")


def test_one_recipe_is_read_though_another_is_wrong(raw, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    assert load_params_for(path, "demo") == (load_params(path), None)
    raw["recipes"]["nuclei"]["serving"]["targett"] = "nowhere"
    raw["recipies"] = {}
    path.write_text(yaml.safe_dump(raw))
    params, elsewhere = load_params_for(path, "demo")
    assert (set(params.recipes), set(params.datasets)) == ({"demo"}, {"synthetic"})
    assert "recipes.nuclei.serving.targett" in str(elsewhere)
    for other in ("nuclei", "gone"):
        with pytest.raises(ConfigError, match=r"nuclei\.serving\.targett"):
            load_params_for(path, other)


@pytest.mark.parametrize(
    ("twice", "is_in_the_way"),
    [("recipes", True), ("recipes.demo", True), ("recipes.em", False), ("datasets.wbc", False)],
)
def test_a_key_given_twice_is_in_the_way_where_it_hides_the_recipe(
    raw, tmp_path, twice, is_in_the_way
):
    path = tmp_path / "params.yaml"
    section, _, name = twice.partition(".")
    text = yaml.safe_dump(raw)
    if name:
        text = text.replace(f"{section}:\n", f"{section}:\n  {name}: {{}}\n", 1)
    else:
        text += f"{section}: {{}}\n"
    path.write_text(text)
    if is_in_the_way:
        with pytest.raises(ConfigError, match=f"{twice}: given twice"):
            load_params_for(path, "demo")
    else:
        params, elsewhere = load_params_for(path, "demo")
        assert set(params.recipes) == {"demo"}
        assert f"{twice}: given twice" in str(elsewhere)
