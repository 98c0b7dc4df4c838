"""Scores of a split, with sample weights and without, against scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss, roc_auc_score

import zoo
from launch.run.evaluation import Evaluator

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 20)], weight="w", group="user")


def make_rows(rows=1000):
    rng = np.random.default_rng(0)
    features = {
        "ids": rng.integers(0, 20, (rows, 1), dtype=np.int32),
        "group": rng.integers(0, 2**62, (rows, 1)),
    }
    label = rng.integers(0, 2, (rows, 1)).astype(np.float32)
    weight = rng.exponential(size=(rows, 1)).astype(np.float32)
    weight[::7] = 0
    return features, label, weight


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_match_scikit_learn(weighted):
    features, label, weight = make_rows()
    model = zoo.DNN(SCHEMA, embedding_dim=2, hidden_units=(4,))
    model.embedding.tables[2].embeddings.assign(np.random.default_rng(1).normal(size=(20, 2)))
    rows = (features, label, weight) if weighted else (features, label)
    scores = Evaluator(model)(tf.data.Dataset.from_tensor_slices(rows).batch(128))
    probabilities = tf.sigmoid(model.predict(features, verbose=0)).numpy()[:, 0].astype(np.float64)
    weights = weight[:, 0] if weighted else None
    expected = {
        "auc": roc_auc_score(label, probabilities, sample_weight=weights),
        "logloss": log_loss(label, probabilities, sample_weight=weights),
    }
    assert scores == pytest.approx(expected, abs=1e-5)
