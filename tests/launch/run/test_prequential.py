"""Scores of a pass: slices, pools, splits, groups and buckets, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

import zoo
from launch.run.prequential import Prequential, grouped_areas

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 30)], weight="w", group="user")


def make_slice(rng, rows=200):
    return {
        "ids": rng.zipf(1.5, (rows, 1)).clip(max=29).astype(np.int32),
        "label": rng.integers(0, 2, (rows, 1)).astype(np.float32),
        "weight": rng.integers(1, 4, (rows, 1)).astype(np.float32),
        "group": rng.integers(0, 20, (rows, 1)),
    }, rng.normal(size=rows).astype(np.float32)


def expected(label, logits, weight):
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return (
        roc_auc_score(label, logits, sample_weight=weight),
        log_loss(label, probability, sample_weight=weight),
    )


def test_scores_are_those_of_the_rows():
    rng = np.random.default_rng(0)
    parts = [make_slice(rng) for _ in range(3)]
    splits = ["train", "train", "test"]
    scores = Prequential(SCHEMA)
    found = [
        scores.add(i, split, *part)
        for i, (split, part) in enumerate(zip(splits, parts, strict=True), start=1)
    ]
    flat = [(r["label"][:, 0], z, r["weight"][:, 0]) for r, z in parts]
    for place, one in enumerate(found):
        assert (one.auc, one.logloss) == pytest.approx(expected(*flat[place]))
        so_far = [np.concatenate(column) for column in zip(*flat[: place + 1], strict=True)]
        assert (one.auc_so_far, one.logloss_so_far) == pytest.approx(expected(*so_far))
        assert one.positives == pytest.approx(flat[place][0].mean())
    pooled = scores.by_split()
    assert list(pooled) == ["all", "train", "test"]
    assert (pooled["test"]["auc"], pooled["test"]["logloss"]) == pytest.approx(expected(*flat[2]))
    assert pooled["all"]["auc"] == pytest.approx(found[-1].auc_so_far, abs=1e-12)
    assert pooled["all"]["gauc"] == found[-1].gauc_so_far
    assert pooled["test"]["gauc"] == found[2].gauc


def test_buckets_go_by_the_rows_trained_before():
    rng = np.random.default_rng(1)
    parts = [make_slice(rng) for _ in range(4)]
    scores, counts, bucket = Prequential(SCHEMA), np.zeros(30), []
    for number, (rows, logits) in enumerate(parts, start=1):
        scores.add(number, "train", rows, logits)
        bucket.append(counts[rows["ids"][:, 0]])
        np.add.at(counts, rows["ids"][:, 0], 1)
    bucket = np.concatenate(bucket)
    label, logits, weight = (
        np.concatenate(column)
        for column in zip(
            *((r["label"][:, 0], z, r["weight"][:, 0]) for r, z in parts), strict=True
        )
    )
    found = scores.by_bucket()
    for name, chosen in (
        ("0", bucket == 0),
        ("2-4", (bucket >= 2) & (bucket <= 4)),
        ("100-999", bucket >= 100),
    ):
        assert found[name]["rows"] == chosen.sum()
        wanted = expected(label[chosen], logits[chosen], weight[chosen])
        assert (found[name]["auc"], found[name]["logloss"]) == pytest.approx(wanted), name
    assert sum(scores["rows"] for scores in found.values()) == 800


def test_auc_within_groups_is_weighted_by_their_rows():
    rng = np.random.default_rng(2)
    group, label = rng.integers(0, 30, 300), (rng.random(300) < 0.1).astype(np.float32)
    logits = np.round(rng.normal(size=300) * 2).astype(np.float32)  # with ties
    areas, rows = [], []
    for one in np.unique(group):
        chosen = group == one
        if 0 < label[chosen].sum() < chosen.sum():
            areas.append(roc_auc_score(label[chosen], logits[chosen]))
            rows.append(chosen.sum())
    denominator, numerator = grouped_areas(label, logits, group)
    assert denominator == sum(rows) < 300
    assert numerator / denominator == pytest.approx(np.average(areas, weights=rows))


def test_without_groups_of_both_labels_there_is_no_gauc():
    rows = {"ids": np.ones((2, 1), np.int32), "label": np.array([[0.0], [1.0]])}
    logits = np.zeros(2, np.float32)
    plain = Prequential(SCHEMA).add(1, "train", rows, logits)
    assert plain.gauc is None is plain.gauc_so_far
    apart = {**rows, "group": np.array([[1], [2]])}
    scores = Prequential(SCHEMA)
    assert scores.add(1, "train", apart, logits).gauc is None
    assert "gauc" not in scores.by_split()["all"]


def test_a_prediction_that_is_not_finite_ends_the_pass():
    rows = {"ids": np.ones((2, 1), np.int32), "label": np.array([[0.0], [1.0]])}
    with pytest.raises(ValueError, match=r"slice 7 are not finite.*smaller learning rate"):
        Prequential(SCHEMA).add(7, "train", rows, np.array([0.0, np.nan], np.float32))
