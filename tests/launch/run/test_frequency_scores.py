"""The AUC of a split by the frequency of its ids, against scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

import zoo
from launch.run.evaluation import Evaluator
from launch.run.frequency_scores import FrequencyScores
from zoo.data.files import DataError

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 1500), zoo.Categorical("tags", 6, length=2)])
COUNTS = {"user": np.arange(1500) % 60, "tags": np.array([0, 2, 9, 40, 500, 70])}


def rows(number=1500):
    rng = np.random.default_rng(0)
    # No two rows have the same ids, whose scores can differ in the last bit between batches.
    ids = np.column_stack([rng.permutation(number), rng.integers(1, 6, (number, 2))])
    ids[::3, 2] = -1  # one tag
    label = rng.integers(0, 2, (number, 1)).astype(np.float32)
    return {"ids": ids.astype(np.int32)}, label, rng.exponential(size=(number, 1))


@pytest.mark.parametrize("field", [None, "tags"])
def test_every_bucket_has_the_area_of_scikit_learn(field):
    features, label, weight = rows()
    model = zoo.DNN(SCHEMA, embedding_dim=2, hidden_units=(4,))
    # Larger than the initial ones, whose scores are almost equal.
    table = model.embedding.tables[2].embeddings
    table.assign(np.random.default_rng(1).normal(size=table.shape))
    data = (features, label, weight.astype(np.float32))
    scores = FrequencyScores(SCHEMA, COUNTS, [3, 10, 1000], field)
    evaluate = Evaluator(model)
    for _ in range(2):  # the rows of the second evaluation replace those of the first
        whole = evaluate(tf.data.Dataset.from_tensor_slices(data).batch(256), scores)
    assert whole == evaluate(tf.data.Dataset.from_tensor_slices(data).batch(256))
    measured = scores.measured()
    logits = model.predict(features, verbose=0)[:, 0]
    tags = np.where(features["ids"][:, 1:] < 0, 10**6, COUNTS["tags"][features["ids"][:, 1:]])
    known = tags.min(axis=1)
    if field is None:
        known = np.minimum(known, COUNTS["user"][features["ids"][:, 0]])
    prefix = "" if field is None else "tags/"
    expected = {}
    for name, low, high in (("0-2", 0, 3), ("3-9", 3, 10), ("10-999", 10, 1000)):
        inside = (known >= low) & (known < high)
        expected[f"frequency_rows/{prefix}{name}"] = inside.sum()
        area = roc_auc_score(label[inside], logits[inside], sample_weight=weight[inside, 0])
        expected[f"frequency_auc/{prefix}{name}"] = area
    # No row is that frequent.
    expected[f"frequency_rows/{prefix}1000+"] = 0
    assert measured == pytest.approx(expected, abs=1e-6)


def test_data_without_fields_and_unknown_fields_are_errors():
    with pytest.raises(DataError, match="have no fields"):
        FrequencyScores(zoo.Schema("n", [], [zoo.Numeric("x")]), {}, [1])
    with pytest.raises(ValueError, match="frequency_field"):
        FrequencyScores(SCHEMA, COUNTS, [1], "usr")
