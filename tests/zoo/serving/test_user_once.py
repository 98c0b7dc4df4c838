"""One user and many items: the scores are those of rows that repeat the user's features."""

import numpy as np
import pytest
import tensorflow as tf
from kinds import some
from zoo_cases import MODELS, SCHEMA, batch, shared, small

import zoo
from zoo.serving.lookups import served_lookups
from zoo.serving.stored_tables import stored_tables
from zoo.serving.user_once import UserOnce, check_user_columns

FAST = ("lr", "dnn", "widedeep", "deepfm", "dcnv2", "din")  # sums, and two others


def once(model, user, rows):
    """The logits of rows for the first row's user, and those of rows that repeat the user."""
    scorer = UserOnce(model, served_lookups(stored_tables(model)), user)
    features, _ = batch(rows)
    features = {key: tf.constant(values) for key, values in features.items()}
    first = {key: values[1:2] for key, values in features.items()}
    found = scorer(scorer.user(first), scorer.item(features))
    ends = np.cumsum([field.length for field in model.schema.categorical])
    ids, numbers = features["ids"].numpy(), features["numeric"].numpy()
    for field, end in zip(model.schema.categorical, ends, strict=True):
        if field.name in user:
            ids[:, end - field.length : end] = ids[1, end - field.length : end]
    for place, column in enumerate(model.schema.numeric):
        if column.name in user:
            numbers[:, place] = numbers[1, place]
    return found, model({"ids": ids, "numeric": numbers})


@pytest.mark.parametrize("name", some(MODELS, FAST))
def test_scores_are_those_of_the_plain_signature(name):
    found, expected = once(shared(name), ["user", "seen", "age"], 9)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("user", [["item"], ["price", "age"], ["user", "item", "tags", "seen"]])
def test_any_columns_may_be_the_users(user):
    found, expected = once(shared("deepfm"), user, 5)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize(
    "changed",
    [
        {"numeric": "direct"},
        {"hidden_units": ()},
        {"embedding_dims": {"item": 2, "seen": 2, "age": 3}},
        {"batch_norm": True, "hidden_units": (4, 3)},
    ],
    ids=str,
)
def test_every_form_of_the_first_layer_is_split(changed):
    found, expected = once(small("dnn", **changed), ["user", "seen", "age"], 5)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-6)


def test_the_users_part_of_the_first_layer_is_one_row():
    model = shared("deepfm")
    scorer = UserOnce(model, served_lookups(stored_tables(model)), ["user", "seen"])
    features, _ = batch(9)
    features = {key: tf.constant(values) for key, values in features.items()}
    first = {key: values[:1] for key, values in features.items()}

    traced = tf.function(scorer).get_concrete_function(scorer.user(first), scorer.item(features))
    rows = [
        int(op.outputs[0].shape[0])
        for op in traced.graph.get_operations()
        if op.type == "MatMul" and op.outputs[0].shape[1] == 5
    ]
    assert sorted(rows) == [1, 9]


@pytest.mark.parametrize("name", ["deepfm", "dcnv2"])
def test_no_items_give_no_scores(name):
    found, _ = once(shared(name), ["user"], 9)
    scorer = UserOnce(shared(name), served_lookups(stored_tables(shared(name))), ["user"])
    features = {key: tf.constant(values) for key, values in batch(9)[0].items()}
    first = {key: values[:1] for key, values in features.items()}
    none = {key: values[:0] for key, values in features.items()}
    assert scorer(scorer.user(first), scorer.item(none)).shape == (0, 1)
    assert found.shape == (9, 1)


def test_a_subclass_of_a_model_may_change_its_logits():
    class Doubled(zoo.DNN):
        def logits(self, features, training):
            return 2 * super().logits(features, training)

    model = Doubled(SCHEMA, embedding_dim=2, hidden_units=(3,))
    found, expected = once(model, ["user"], 4)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "user, message",
    [
        ([], "distinct names"),
        ("user", "distinct names"),
        (["user", "user"], "distinct names"),
        (["usr"], r"'usr', which is not a column of the model.*user"),
        (["user", "item"], "leave out those that differ"),
    ],
)
def test_wrong_names_are_refused(user, message):
    with pytest.raises(ValueError, match=message):
        check_user_columns(user, ["user", "item"])
