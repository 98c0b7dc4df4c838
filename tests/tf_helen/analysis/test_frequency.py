"""Buckets, correlations and areas, against NumPy, SciPy and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

import tf_helen
from tf_helen.analysis import (
    auc_by_bucket,
    frequency_buckets,
    frequency_correlation,
    sample_counts,
    table_counts,
)

COUNTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=60)


@given(COUNTS)
def test_default_buckets_are_powers_of_ten(counts):
    buckets = frequency_buckets(counts)
    digits = [0 if count == 0 else int(np.floor(np.log10(count))) + 1 for count in counts]
    assert buckets.assignment.tolist() == digits
    assert buckets.sizes.sum() == len(counts) and len(buckets) == max([1, *digits]) + 1
    assert len(buckets.labels) == len(buckets)


@given(COUNTS, st.lists(st.integers(1, 10**6), min_size=1, max_size=6, unique=True))
def test_given_edges_are_as_numpy_digitizes(counts, edges):
    buckets = frequency_buckets(counts, edges=sorted(edges))
    np.testing.assert_array_equal(buckets.assignment, np.digitize(counts, sorted(edges)))
    np.testing.assert_array_equal(buckets.edges, sorted(edges))


@given(st.permutations(list(range(1, 101))), st.integers(1, 10))
def test_quantiles_have_equally_many_rows(counts, quantiles):
    buckets = frequency_buckets([0, 0, *counts], quantiles=quantiles)
    assert buckets.sizes[0] == 2, "rows that do not occur are apart"
    assert np.ptp(buckets.sizes[1:]) <= 1 and len(buckets) == quantiles + 1
    order = np.argsort(counts)
    assert (np.diff(buckets.assignment[2:][order]) >= 0).all()


def test_quantiles_keep_equal_counts_together():
    buckets = frequency_buckets([1] * 50 + [7] * 3 + [9], quantiles=5)
    assert len({*buckets.assignment[:50]}) == len({*buckets.assignment[50:53]}) == 1
    assert frequency_buckets([0, 0], quantiles=3).assignment.tolist() == [0, 0]


def test_labels():
    assert frequency_buckets([0], edges=[1, 2, 10]).labels == ["0", "1", "2-9", "10+"]
    assert frequency_buckets([0], edges=[5]).labels == ["0-4", "5+"]


@pytest.mark.parametrize(
    "counts,arguments,message",
    [
        ([-1], {}, "integers >= 0"),
        ([0.5], {}, "integers >= 0"),
        ([1], {"edges": [3, 2]}, "ascending"),
        ([1], {"edges": [0, 2]}, ">= 1"),
        ([1], {"edges": []}, "ascending"),
        ([1], {"edges": [1], "quantiles": 2}, "exclude each other"),
        ([1], {"quantiles": 0}, "`quantiles`"),
    ],
)
def test_buckets_that_are_refused(counts, arguments, message):
    with pytest.raises(ValueError, match=message):
        frequency_buckets(counts, **arguments)


@pytest.mark.parametrize("scale", [1.0, 1e-170])
def test_pearson_is_that_of_scipy(scale):
    rng = np.random.default_rng(0)
    counts = rng.zipf(1.3, 200) % 10**6
    values = scale * (counts * rng.uniform(0.5, 1.5, 200) + rng.normal(size=200))
    expected = pearsonr(values / scale, counts).statistic
    assert frequency_correlation(values, counts) == pytest.approx(expected, abs=1e-12)
    assert frequency_correlation(2.5 * counts, counts) == pytest.approx(1.0)
    assert frequency_correlation(-counts, counts) == pytest.approx(-1.0)


def test_correlations_that_do_not_exist():
    assert np.isnan(frequency_correlation([1.0], [3]))
    assert np.isnan(frequency_correlation([1.0, 1.0], [3, 4]))
    assert np.isnan(frequency_correlation([1.0, 2.0], [3, 3]))
    with pytest.raises(ValueError, match="same length"):
        frequency_correlation([1.0], [3, 4])
    with pytest.raises(ValueError, match="finite"):
        frequency_correlation([1.0, np.nan], [3, 4])


def test_the_rarest_id_of_a_sample():
    counts = {"user": [0, 9, 4], "tags": [7, 2], "item": [5, 1, 8]}
    ids = np.array([[1, 0, 1, -1, 2], [2, -1, -1, -1, 0], [0, 0, 0, 0, 2]])
    lengths = {"tags": 3}
    assert sample_counts(ids, counts, lengths=lengths).tolist() == [2, 4, 0]
    of_tags = sample_counts(ids, counts, lengths=lengths, field="tags")
    assert of_tags.tolist() == [2, 0, 7]
    with pytest.raises(ValueError, match="5 columns"):
        sample_counts(ids[:, :3], counts, lengths=lengths)
    with pytest.raises(ValueError, match=r"Unknown field 'usr'.*user, tags, item"):
        sample_counts(ids, counts, lengths=lengths, field="usr")


@pytest.mark.parametrize("weighted", [False, True])
def test_areas_are_those_of_scikit_learn(weighted):
    rng = np.random.default_rng(0)
    labels, bucket = rng.integers(0, 2, 500), rng.integers(0, 4, 500)
    predictions = np.round(labels * 0.3 + rng.normal(size=500), 1)  # with ties
    weight = rng.exponential(size=500) if weighted else None
    labels[bucket == 3] = 1
    found = auc_by_bucket(labels, predictions, bucket, sample_weight=weight)
    for each in range(3):
        inside = bucket == each
        expected = roc_auc_score(
            labels[inside],
            predictions[inside],
            sample_weight=weight[inside] if weighted else None,
        )
        assert found[each] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found[3]), "a bucket of positives only"


def test_soft_labels_count_to_both_classes():
    soft = auc_by_bucket([0.25, 1.0], [0.1, 0.2], [0, 0])
    hard = auc_by_bucket([1, 0, 1], [0.1, 0.1, 0.2], [0, 0, 0], sample_weight=[0.25, 0.75, 1.0])
    assert soft[0] == hard[0]


def test_areas_of_what_does_not_fit():
    with pytest.raises(ValueError, match=r"predictions \[3\]"):
        auc_by_bucket([0, 1], [0.1, 0.2, 0.3], [0, 0])
    with pytest.raises(ValueError, match="finite"):
        auc_by_bucket([0, 1], [0.1, np.nan], [0, 0])


def test_counts_of_fields_that_share_rows_add_up():
    layer = tf_helen.layers.Embedding(
        {"user": 2, "item": 3, "last": 3}, 2, shared={"last": "item"}, lengths={"last": 4}
    )
    counts = {"user": [1, 2], "item": [3, 0, 0], "last": [0, 5, 1], "other": [1]}
    assert table_counts(layer, counts).tolist() == [1, 2, 3, 5, 1]
    assert table_counts(layer, [1, 2, 3, 4, 5]).tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"lacks the field 'last'.*user, item"):
        table_counts(layer, {"user": [1, 2], "item": [3, 0, 0]})
    with pytest.raises(ValueError, match=r"one number per id, \[2\]"):
        table_counts(layer, {**counts, "user": [1]})
    with pytest.raises(ValueError, match=r"one number per row.*\[5\]"):
        table_counts(layer, [1, 2])
