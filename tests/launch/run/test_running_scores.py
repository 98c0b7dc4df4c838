"""Scores of rows that arrive in parts, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from launch.run.running_scores import RunningScores


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_parts_add_up_to_the_scores_of_all_rows(weighted, ties):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=900).astype(np.float32)
    logits = np.round(logits) if ties else logits
    label = (rng.random(900) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    weight = rng.integers(0, 4, 900).astype(np.float32) if weighted else None
    scores = RunningScores()
    for stop in (1, 2, 300, 301, 900):
        part = slice(scores.rows, stop)
        scores.add(label[part], logits[part], None if weight is None else weight[part])
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert scores.auc == pytest.approx(
        roc_auc_score(label, logits, sample_weight=weight), abs=1e-12
    )
    assert scores.logloss == pytest.approx(log_loss(label, probability, sample_weight=weight))


def test_a_label_between_0_and_1_counts_to_both_sides():
    soft, hard = RunningScores(), RunningScores()
    soft.add(np.array([0.25, 1.0]), np.array([0.0, 1.0]))
    weight = np.array([0.25, 0.75, 1.0])
    hard.add(np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]), weight)
    assert (soft.auc, soft.logloss) == pytest.approx((hard.auc, hard.logloss))


def test_one_class_says_nothing():
    scores = RunningScores()
    assert (scores.auc, scores.logloss) == (0.5, 0.0)
    scores.add(np.ones(3), np.array([-1e4, 0.0, 1e4]))
    assert scores.auc == 0.5 and scores.logloss == pytest.approx((1e4 + np.log(2)) / 3)
