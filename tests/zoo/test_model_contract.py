"""Properties of every model of the zoo, on a small instance of each."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from click_features import features_of
from kinds import some
from zoo_cases import KINDS, MODELS, SCHEMA, batch, shared, small

import zoo
from zoo.data.vocabulary import save_vocabulary
from zoo.serving.export import export_saved_model

SCHEMAS = {
    "numbers": zoo.Schema("numbers", [], SCHEMA.numeric),
    "ids": zoo.Schema("ids", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)]),
    "ids of several values": zoo.Schema("several", SCHEMA.categorical),
    "one id": zoo.Schema(
        "one id",
        [
            zoo.Categorical("item", 1),
            zoo.Categorical("tags", 1, length=2),
            zoo.Categorical("seen", 1, length=3, shares="item"),
        ],
        SCHEMA.numeric,
    ),
}
# What models say to columns they cannot use.
NO_HISTORY = r"needs histories, and schema .* has none.*another model"
REFUSED = {("din", "numbers"): NO_HISTORY, ("din", "ids"): NO_HISTORY}
NO_PLACE = ["dlrm", "masknet", "dcnv3", "wukong"]
ONE_WIDTH = r"vectors of the same width.*embedding_dims.*remove the latter"


@pytest.mark.parametrize("name", MODELS)
def test_rows_do_not_know_each_other(name):
    features, _ = batch()
    model = shared(name)
    output = model(features).numpy()
    assert output.dtype == np.float32
    assert output.shape == (16, 1)
    assert np.isfinite(output).all()
    assert len(np.unique(output)) > 8
    order = np.random.default_rng(3).permutation(16)
    for rows in (order, order[:1], order[:0]):
        chosen = model({key: value[rows] for key, value in features.items()}).numpy()
        np.testing.assert_allclose(chosen, output[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_keras_file_gives_the_model_back(name, tmp_path):
    features, _ = batch()
    initializer = keras.initializers.RandomUniform(-0.1, 0.1)
    model = small(name, embeddings_initializer=initializer, embedding_l2=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert again.get_config() == model.get_config()
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    np.testing.assert_array_equal(again(features), model(features))


@pytest.mark.parametrize("name", MODELS)
def test_the_summary_names_the_layers_and_counts(name):
    lines = []
    shared(name).summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert type(shared(name)).__name__.lower() in text.replace("_", "").lower()
    assert f"Total params: {shared(name).count_params():,}" in text
    assert "(unbuilt)" not in text


@pytest.mark.parametrize("name", MODELS)
def test_mixed_precision_keeps_weights_and_logits_in_float32(name):
    features, _ = batch()
    exact = shared(name)
    half = small(name, dtype="mixed_bfloat16")
    assert half.compute_dtype == "bfloat16"
    assert {weight.dtype for weight in half.trainable_weights} == {"float32"}
    output, expected = half(features), exact(features).numpy()
    assert output.dtype == tf.float32
    assert np.corrcoef(output[:, 0], expected[:, 0])[0, 1] > 0.95


@pytest.mark.parametrize("name", MODELS)
def test_mixed_precision_rounds_numbers_after_they_are_standardized(name):
    price, age = SCHEMA.numeric
    far = dataclasses.replace(price, mean=price.mean + 10_000)
    features, _ = batch()
    features["numeric"] = np.round(features["numeric"] * 64) / 64
    model = small(name, dtype="mixed_bfloat16")
    shifted = small(name, dataclasses.replace(SCHEMA, numeric=(far, age)), dtype="mixed_bfloat16")
    there = {**features, "numeric": features["numeric"] + np.array([10_000, 0], np.float32)}
    np.testing.assert_array_equal(shifted(there), model(features))


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_schema_works_or_is_refused_clearly(name, kind):
    schema = SCHEMAS[kind]
    if (name, kind) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name, kind]):
            small(name, schema)
        return
    model = small(name, schema)
    features = features_of(schema, 6)
    assert np.isfinite(model(features)).all()
    if "ids" in features and schema.field_lengths.get("tags", 1) > 1:
        several = np.repeat([f.length > 1 for f in schema.categorical], _lengths(schema))
        features["ids"][:, several] = -1
        assert np.isfinite(model(features, training=True)).all()
        assert all(np.isfinite(weight).all() for weight in model.weights)


def _lengths(schema):
    return list(schema.field_lengths.values())


SIDE_BY_SIDE = {"lr", "dnn", "widedeep", "dcn", "dcnv2", "gdcn", "finalmlp", "finalnet", "edcn"}


@pytest.mark.parametrize("name", MODELS)
def test_columns_of_another_width_work_or_are_refused_clearly(name):
    if name in SIDE_BY_SIDE:
        assert np.isfinite(small(name, embedding_dims={"user": 2})(batch()[0])).all()
        return
    with pytest.raises(ValueError, match=ONE_WIDTH):
        small(name, embedding_dims={"user": 2})


@pytest.mark.parametrize("name", [name for name in MODELS if name != "dcnv3"])
def test_all_columns_may_have_another_width(name):
    fields = ["user", "item", "tags", "seen"]
    widths = dict.fromkeys(fields if name == "dlrm" else [*fields, "price", "age"], 6)
    features, _ = batch()
    model, wide = small(name, embedding_dims=widths), small(name, embedding_dim=6)
    assert model(features).shape == (16, 1)
    if name != "finalmlp":  # a context that is learned has the model's width
        assert model.count_params() == wide.count_params()


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NO_PLACE])
def test_numbers_that_enter_directly_change_the_logit(name):
    model = small(name, numeric="direct")
    for weight in model.weights:
        if "linear/weights/numeric" in weight.path and name not in ("lr", "fm"):
            weight.assign(np.zeros(weight.shape))  # by another way than the linear part
    features, _ = batch()
    for column in range(2 * (name != "autoint")):  # without MLP, in its linear part only
        changed = features["numeric"].copy()
        changed[:, column] += 1
        moved = model({**features, "numeric": changed}) - model(features)
        assert (np.abs(moved) > 1e-6).any(), SCHEMA.numeric[column].name
    again = type(model).from_config(model.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    assert not [w for w in model.weights if "embedding/numeric" in w.path]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in NO_PLACE),
        ("afn", {"ensemble": False}),
        ("autoint", {"linear": False, "hidden_units": ()}),
        ("finalnet", {"column_gates": True}),
    ],
)
def test_numbers_for_which_there_is_no_place_are_refused(name, settings):
    message = r"cannot concatenate numbers.*numeric='direct'; remove it"
    with pytest.raises(ValueError, match=message):
        small(name, numeric="direct", **settings)
    # Without numbers there is nothing to refuse.
    assert small(name, SCHEMAS["ids"], numeric="direct", **settings).built


def below(weight):
    """A weight's path below its model, whose name has a number."""
    return weight.path.split("/", 1)[1]


@pytest.mark.parametrize("name", ["dnn", "widedeep", "dcn", "dcnv2", "gdcn", "edcn", "finalmlp"])
def test_a_direct_number_is_one_whose_vector_is_a_single_one(name):
    direct = small(name, numeric="direct")
    embedded = small(name, embedding_dims={"price": 1, "age": 1})
    given = {below(weight): weight for weight in direct.weights}
    for weight in embedded.weights:
        is_vector = weight.path.endswith("embedding/numeric_vectors")
        weight.assign(np.ones(weight.shape) if is_vector else given[below(weight)])
    features, _ = batch()
    np.testing.assert_allclose(direct(features), embedded(features), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["fm", "deepfm", "pnn", "xdeepfm", "fibinet", "din"])
def test_direct_numbers_alone_are_no_vectors_to_compare(name):
    with pytest.raises(ValueError, match=r"compares vectors|pairs of columns|needs histories"):
        small(name, SCHEMAS["numbers"], numeric="direct")


@pytest.mark.parametrize(
    "changed", [{"numeric": "raw"}, {"numeric": "direct", "embedding_dims": {"price": 3}}]
)
def test_numeric_settings_that_contradict_are_refused(changed):
    with pytest.raises(ValueError, match=r"numeric.*(one of|embeds no number)|embeds no number"):
        small("dnn", **changed)


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("vocabularies"))
    SCHEMA.save(folder)
    for field in SCHEMA.categorical:
        values = ["<oov>", *(f"v{i}" for i in range(1, field.size))]
        save_vocabulary(folder, field.name, values, np.ones(field.size, np.int64))
    return folder


@pytest.mark.parametrize("name", some(MODELS, KINDS))
def test_an_export_scores_raw_features_as_the_model_does(name, vocabularies, tmp_path):
    features, _ = batch()
    ids = np.split(features["ids"], np.cumsum(_lengths(SCHEMA))[:-1], axis=1)
    raw = {}
    for field, columns in zip(SCHEMA.categorical, ids, strict=True):
        # An id that is no line of the vocabulary is 0; padding is left out.
        texts = [field.separator.join(f"v{i}" for i in row if i >= 0) for row in columns]
        raw[field.name] = tf.constant(texts)
    for place, column in enumerate(SCHEMA.numeric):
        raw[column.name] = tf.constant(features["numeric"][:, place])
    out = export_saved_model(shared(name), vocabularies, str(tmp_path / "served"))
    found = tf.saved_model.load(out).signatures["serving_default"](**raw)["probability"]
    expected = tf.sigmoid(shared(name)(features)[:, 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
