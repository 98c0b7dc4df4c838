"""Presets: every file is valid, its models are the published ones; errors for names."""

import re

import keras
import numpy as np
import pytest
from kinds import some

import zoo
from launch.datasets import available
from zoo.parameter_counts import parameter_counts

PRESETS = {one.name: one for one in zoo.list_presets()}
# Vocabulary sizes that FuxiCTR 2 logged; version 1 had one row less in every field.
FRAPPE = {
    "user": 956, "item": 4084, "daytime": 9, "weekday": 9, "isweekend": 4, "homework": 5, "cost": 4,
    "weather": 11, "country": 82, "city": 235,
}  # fmt: skip
MOVIELENS = {"user_id": 16_977, "item_id": 23_606, "tag_id": 49_659}
# (fields with a table, rows of all in the two versions)
LARGE = {
    "criteo_x4_001": (39, (910_708, 910_747)),
    "avazu_x4_001": (24, (3_750_975,)),
    "taobao_ad": (16, (1_295_075,)),
}
TAOBAO = (
    "userid", "cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level",
    "shopping_level", "occupation", "new_user_class_level", "adgroup_id", "cate_id", "campaign_id",
    "customer", "brand", "pid", "btag",
)  # fmt: skip
# What our model has more than the logged one, and why.
MORE = {
    "frappe/deepfm": 1,  # a bias
    "avazu_x4_001/deepfm": 1,
    "criteo_x4_001/fibinet": 741 * 16 * 16,  # a second set of bilinear matrices
}


def small_schema(dataset):
    """The columns of a data set, with vocabularies of three ids."""
    histories, numeric = {}, []
    if dataset == "taobao_ad":
        names, numeric = TAOBAO, [zoo.Numeric("price")]
        histories = {"cate_his": "cate_id", "brand_his": "brand", "btag_his": "btag"}
    elif dataset in LARGE:
        names = [f"C{i}" for i in range(LARGE[dataset][0])]
    elif dataset == "amazon_electronics":
        names = ("item_id", "cate_id")
        histories = {"item_history": "item_id", "cate_history": "cate_id"}
    else:
        names = {"frappe": FRAPPE, "movielens_latest": MOVIELENS}.get(dataset, range(16))
    fields = [zoo.Categorical(f"{name}", 3) for name in names]
    fields += [zoo.Categorical(h, 3, length=4, shares=t) for h, t in histories.items()]
    return zoo.Schema(dataset, fields, numeric)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_sound(name):
    preset = PRESETS[name]
    assert zoo.preset(name) is preset
    assert preset.dataset in available()
    if preset.model not in [entry.name for entry in zoo.list_models()]:
        pytest.skip(f"{preset.model} is not in the zoo yet")
    assert set(preset.model_args) <= set(zoo.get(preset.model).arguments())
    assert 0.5 < preset.published.auc < 1
    assert preset.published.logloss is None or 0 < preset.published.logloss < 1
    mean, deviation = preset.published.auc_mean, preset.published.auc_std
    assert (mean is None) == (deviation is None)
    # One of five numbers is at most two deviations from their mean.
    assert mean is None or abs(mean - preset.published.auc) < 2 * deviation
    assert preset.published.epoch in ("best", "last")
    assert re.match(r"https://(github.com/reczoo/BARS|openreview.net)/", preset.source)
    assert preset.batch_size >= 2000
    assert preset.learning_rate == (1e-2 if preset.optimizer == "adagradar" else 1e-3)
    assert preset.epochs >= 4


# One preset of each model and data set: the others have the same numbers of parameters to count.
ONE_EACH = {(one.model, one.dataset): name for name, one in PRESETS.items()}


@pytest.mark.parametrize("name", some(PRESETS, ONE_EACH.values()))
def test_a_preset_builds_its_model_with_the_published_number_of_parameters(name):
    preset = PRESETS[name]
    schema = small_schema(preset.dataset)
    embedded, other = parameter_counts(zoo.get(preset.model)(schema, **preset.model_args))
    published = preset.published.parameters
    if published is None:
        return
    if preset.dataset in LARGE:
        fields, rows = LARGE[preset.dataset]
        per_row = embedded / (3 * fields)
        counts = [other + per_row * n for n in rows]
    else:
        sizes = FRAPPE if preset.dataset == "frappe" else MOVIELENS
        counts = [_parameters(preset, sizes, less) for less in (0, 1)]
    assert published + MORE.get(name, 0) in counts


def _parameters(preset, sizes, less):
    fields = [zoo.Categorical(name, size - less) for name, size in sizes.items()]
    model = zoo.get(preset.model)(zoo.Schema("sized", fields), **preset.model_args)
    return sum(parameter_counts(model))


# A preset with each initializer, and one with nested arguments.
SAVED = {
    str(one.model_args["embeddings_initializer"]): name
    for name, one in PRESETS.items()
    if "embeddings_initializer" in one.model_args
}


@pytest.mark.parametrize("name", [*SAVED.values(), "taobao_ad/din"])
def test_a_model_with_the_arguments_of_a_preset_can_be_saved(name, tmp_path):
    preset = PRESETS[name]
    schema = small_schema(preset.dataset)
    model = zoo.get(preset.model)(schema, **preset.model_args)
    rng = np.random.default_rng(0)
    for weight in model.weights:  # with embeddings of zeros, all rows have the same logit
        weight.assign(np.abs(rng.normal(0, 0.1, weight.shape)))
    model.save(tmp_path / "model.keras")
    features = {"ids": rng.integers(0, 3, (8, schema.ids_width), np.int32)}
    if schema.numeric:
        features["numeric"] = rng.normal(size=(8, len(schema.numeric))).astype(np.float32)
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert np.ptp(model(features)) > 0
    np.testing.assert_array_equal(again(features), model(features))


def test_every_model_of_the_zoo_that_bars_has_is_there():
    common = "lr fm dnn widedeep pnn deepfm dcn dcnv2 xdeepfm autoint afn masknet finalmlp finalnet"
    for dataset in ("frappe", "movielens_latest", "criteo_x4_001", "avazu_x4_001"):
        assert {one.model for one in zoo.list_presets(dataset)} >= set(common.split())
    taobao = {one.model for one in zoo.list_presets("taobao_ad")}
    assert taobao == {"fm", "dnn", "deepfm", "dcn", "dcnv2", "xdeepfm", "autoint", "din"}


def test_a_penalty_is_half_of_the_one_in_the_log():
    # lambda / 2 ||E||^2 with lambda = 0.05
    assert zoo.preset("frappe/deepfm").model_args["embedding_l2"] == 0.025


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(ValueError, match=r"'frape/deepfm'. Did you mean 'frappe/deepfm'\?"):
        zoo.preset("frape/deepfm")
    with pytest.raises(ValueError, match="list_presets"):
        zoo.preset("")
    assert zoo.preset(" Frappe/DeepFM ").name == "frappe/deepfm"
    assert zoo.list_presets("no such set") == ()


def test_presets_print_as_a_table():
    lines = str(zoo.list_presets("frappe", "deepfm")).splitlines()
    assert lines[0].split() == ["name", "AUC", "LogLoss", "source"]
    assert lines[1].split()[:3] == ["frappe/deepfm", "0.9842", "0.1482"]
    assert len(lines) == 2
