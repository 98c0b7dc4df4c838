"""What an export answers to input that is not as documented; docs/serving.md lists the answers."""

import numpy as np
import pytest
import served
import tensorflow as tf

from zoo.serving.scorer import RawScorer


@pytest.fixture(scope="module")
def serve(loaded):
    return loaded.signatures["serving_default"]


def score(function, **inputs):
    return function(**inputs)["logit"].numpy()


def session(exported, signature, **inputs):
    """Feeds a signature as TensorFlow Serving and the C library do, without Python's checks."""
    with tf.compat.v1.Session(graph=tf.Graph()) as current:
        graph = tf.compat.v1.saved_model.load(current, ["serve"], exported)
        found = graph.signature_def[signature]
        fed = {found.inputs[name].name: value for name, value in inputs.items()}
        return current.run(found.outputs["logit"].name, fed)


def arrays():
    return {name: value.numpy() for name, value in served.raw().items()}


def test_no_rows_give_no_scores(loaded, serve):
    assert score(serve, **served.raw(slice(0, 0))).shape == (0,)
    empty = tf.constant([], tf.string)
    assert score(loaded.signatures["serve_examples"], examples=empty).shape == (0,)
    none = {"ids": tf.zeros((0, 6), tf.int32), "numeric": tf.zeros((0, 2))}
    assert score(loaded.signatures["serve_ids"], **none).shape == (0,)
    raw = served.raw(slice(0, 0))
    user = {name: served.raw(slice(0, 1))[name] for name in served.USER_COLUMNS}
    assert score(loaded.signatures["user_once"], **{**raw, **user}).shape == (0,)


def test_a_missing_feature_is_an_error_that_names_it(exported, serve):
    raw = served.raw()
    del raw["age"]
    with pytest.raises(TypeError, match="age"):
        serve(**raw)
    inputs = arrays()
    del inputs["age"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="serving_default_age"):
        session(exported, "serving_default", **inputs)


def test_an_extra_feature_is_an_error(serve):
    with pytest.raises(TypeError, match="color"):
        serve(**served.raw(), color=tf.constant(["red"] * 5))


def test_a_wrong_dtype_is_an_error(exported, serve):
    for name, values in {"price": ["1"] * 5, "user": [1.0] * 5}.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match="float"):
            serve(**{**served.raw(), name: tf.constant(values)})
    with pytest.raises(ValueError, match="could not convert string to float"):
        session(exported, "serving_default", **{**arrays(), "price": np.array(["x"] * 5)})


def test_a_wrong_shape_is_an_error(exported, serve):
    wrong = {name: value[:, None] for name, value in served.raw().items()}
    with pytest.raises((ValueError, TypeError, tf.errors.InvalidArgumentError)):
        serve(**wrong)
    with pytest.raises(ValueError, match=r"Cannot feed value of shape \(5, 1\)"):
        session(
            exported,
            "serving_default",
            **{name: value[:, None] for name, value in arrays().items()},
        )


@pytest.mark.parametrize("name", ["user", "price", "tags"])
def test_different_numbers_of_rows_are_an_error(serve, name):
    raw = served.raw()
    raw[name] = raw[name][:1]  # which an addition would repeat for each row
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"[Dd]imension|[Ss]hapes"):
        serve(**raw)


def test_fields_and_numbers_of_different_lengths_are_an_error(serve):
    raw = served.raw()
    raw |= {name: raw[name][:1] for name in ("price", "amount")}
    with pytest.raises(tf.errors.InvalidArgumentError, match="different numbers of rows"):
        serve(**raw)


def test_bytes_that_are_not_utf8_are_unknown_values(serve):
    bad = b"\xff\xfe\x80"
    raw = served.raw()
    unknown = {**raw, "user": tf.constant(["nobody"] * 5), "age": tf.constant([""] * 5)}
    wrong = {**raw, "user": tf.constant([bad] * 5), "age": tf.constant([bad] * 5)}
    np.testing.assert_array_equal(score(serve, **wrong), score(serve, **unknown))
    several = {**raw, "tags": tf.constant([bad + b"|rock"] * 5)}
    known = {**raw, "tags": tf.constant(["jazz|rock"] * 5)}  # jazz is not in the vocabulary
    np.testing.assert_array_equal(score(serve, **several), score(serve, **known))


def test_the_hash_of_bytes_that_are_not_utf8_is_that_of_the_bytes(loaded, serve, exported):
    raw = {name: value[:1] for name, value in served.raw().items()}
    bad = b"\xff\xfe\x80"
    features = RawScorer(served.model(), exported.removesuffix("/out"))._encoded(served.SCHEMA, raw)
    ids = features["ids"].numpy()
    ids[0, 2] = 2 + int(tf.strings.to_hash_bucket_fast(bad, served.SCHEMA.categorical[2].size - 2))
    by_id = loaded.signatures["serve_ids"](ids=tf.constant(ids), numeric=features["numeric"])
    found = score(serve, **{**raw, "site_id": tf.constant([bad])})
    np.testing.assert_array_equal(found, by_id["logit"])


def test_ids_outside_their_field_are_unknown_values(loaded):
    serve = loaded.signatures["serve_ids"]

    def logits(*rows):
        ids = tf.constant(rows, tf.int32)
        return score(serve, ids=ids, numeric=tf.ones((len(rows), 2)))

    found = logits(
        [99, -1, 20, 4, 9, -1], [5, 4, 2**31 - 1, 99, 4, -7], [-(2**31), -9, 99, 4, 4, -1]
    )
    np.testing.assert_array_equal(found, logits(*[[0, 0, 0, 0, 0, -1]] * 3))


def test_numbers_that_are_not_finite_are_missing(serve):
    raw = {name: value[:1] for name, value in served.raw().items()}
    found = [
        score(serve, **{**raw, "price": tf.constant([number])})
        for number in (np.nan, np.inf, -np.inf, 3.0)  # 3 is the mean
    ]
    assert len({float(value[0]) for value in found}) == 1


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def texts(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def numbers(*values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def test_an_example_without_features_has_missing_values(loaded, serve):
    found = score(loaded.signatures["serve_examples"], examples=tf.constant([example()]))
    missing = {
        name: tf.constant([float("nan")] if value.dtype == tf.float32 else [""])
        for name, value in served.raw().items()
    }
    expected = score(serve, **missing)
    np.testing.assert_array_equal(found, expected)


def test_features_of_an_example_that_no_column_has_are_ignored(loaded):
    serve = loaded.signatures["serve_examples"]
    plain = score(serve, examples=tf.constant([example(user=texts(b"ann"))]))
    more = score(serve, examples=tf.constant([example(user=texts(b"ann"), color=texts(b"red"))]))
    np.testing.assert_array_equal(plain, more)


@pytest.mark.parametrize(
    "serialized, message",
    [
        (example(user=numbers(1.0)), "user.*Data types don't match"),
        (example(price=texts(b"1")), "price.*Data types don't match"),
        (example(user=texts(b"ann", b"bob")), "user"),
        (example(price=numbers(1.0, 2.0)), "price"),
        (b"no example", "Could not parse example"),
    ],
    ids=["text", "number", "two texts", "two numbers", "damaged"],
)
def test_an_example_of_another_kind_is_an_error(loaded, serialized, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        score(loaded.signatures["serve_examples"], examples=tf.constant([serialized]))


def test_several_users_are_an_error_where_one_is_expected(loaded):
    with pytest.raises((ValueError, TypeError, tf.errors.InvalidArgumentError)):
        loaded.signatures["user_once"](**served.raw())


def test_more_values_than_a_field_takes_are_dropped(serve):
    raw = {name: value[:2] for name, value in served.raw().items()}
    raw = {name: tf.repeat(value[:1], 2) for name, value in raw.items()}
    raw["tags"] = tf.constant(["rock|pop|rock|pop|pop|pop", "|rock||pop|rock"])
    found = score(serve, **raw)
    assert found[0] == found[1]
