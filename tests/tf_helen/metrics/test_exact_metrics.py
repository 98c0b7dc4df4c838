"""GAUC, FrequencyAUC, NormalizedEntropy and Calibration against their definitions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from properties import examples
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from tf_helen.core.scores import auc_by_group, calibration_bins, entropy, exact_auc
from tf_helen.metrics import AUC, GAUC, Calibration, FrequencyAUC, LogLoss, NormalizedEntropy

KINDS = (AUC, GAUC, Calibration, FrequencyAUC, LogLoss, NormalizedEntropy)


@st.composite
def rows(draw):
    """Labels, float32 probabilities with ties, weights and groups of up to 60 rows."""
    number = draw(st.integers(1, 60))
    floats = arrays.arrays(np.float32, number, elements=st.floats(0, 1, width=32))
    few = arrays.arrays(np.float32, number, elements=st.sampled_from([0.25, 0.5, 0.75]))
    labels = arrays.arrays(np.float32, number, elements=st.sampled_from([0.0, 1.0]))
    weights = arrays.arrays(np.float32, number, elements=st.floats(0.25, 4, width=32))
    groups = arrays.arrays(np.int64, number, elements=st.integers(-3, 3))
    parts = (labels, st.one_of(floats, few), st.one_of(st.none(), weights), groups)
    return tuple(draw(part) for part in parts)


def area(labels, predictions, weights):
    """scikit-learn's area, and NaN for one class."""
    if len(set(labels.tolist())) < 2:
        return float("nan")
    return roc_auc_score(labels, predictions, sample_weight=weights)


def fill(metric, *columns, batch=17, **named):
    """Feeds rows in batches, in turn eagerly and in a graph."""
    graph = tf.function(metric.update_state, reduce_retracing=True)
    for number, start in enumerate(range(0, len(columns[0]), batch)):
        part = slice(start, start + batch)
        values = [None if column is None else tf.constant(column[part]) for column in columns]
        others = {name: tf.constant(column[part]) for name, column in named.items()}
        (graph if number % 2 else metric.update_state)(*values, **others)
    return metric


@examples(30)
@given(rows())
def test_gauc_is_the_weighted_mean_of_the_groups_areas(case):
    labels, predictions, weights, groups = case
    total = known = 0.0
    for group in np.unique(groups):
        inside = groups == group
        w = np.ones(inside.sum()) if weights is None else weights[inside].astype(np.float64)
        found = area(labels[inside], predictions[inside], w)
        if found == found:
            total, known = total + w.sum() * found, known + w.sum()
    expected = total / known if known else 0.5
    metric = GAUC(dtype="float64")
    metric.update_state(labels, predictions, weights, group=groups)
    assert float(metric.result()) == pytest.approx(expected, abs=1e-9)
    whole = exact_auc(labels, predictions, sample_weight=weights)
    assert whole == pytest.approx(area(labels, predictions, weights), abs=1e-9, nan_ok=True)


@examples(30)
@given(rows())
def test_entropy_and_calibration_are_their_formulas(case):
    labels, predictions, weights, _ = case
    p, y = predictions.astype(np.float64), labels.astype(np.float64)
    w = np.ones(len(y)) if weights is None else weights.astype(np.float64)
    base = (w * y).sum() / w.sum()
    metric = NormalizedEntropy(dtype="float64")
    metric.update_state(labels, predictions, weights)
    if 0 < base < 1:
        own = log_loss(y, np.clip(p, 1e-7, 1 - 1e-7), sample_weight=w)
        constant = log_loss(y, np.full(len(y), base), sample_weight=w)
        assert float(metric.result()) == pytest.approx(own / constant, rel=1e-9)
        assert float(entropy(base)) == pytest.approx(constant, rel=1e-12)
    else:
        assert np.isnan(float(metric.result()))
    metric = Calibration(dtype="float64")
    metric.update_state(labels, predictions, weights)
    expected = (w * p).sum() / (w * y).sum() if y.any() else float("nan")
    assert float(metric.result()) == pytest.approx(expected, rel=1e-9, nan_ok=True)
    metric = Calibration("ece", bins=5, dtype="float64")
    metric.update_state(labels, predictions, weights)
    place = np.minimum(np.floor(p * 5), 4)
    gaps = [abs((w * (p - y))[place == b].sum()) for b in range(5)]
    assert float(metric.result()) == pytest.approx(sum(gaps) / w.sum(), abs=1e-9)


def test_deciles_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p = rng.permutation(np.linspace(0.001, 0.4, 500)).astype(np.float32)
    y = (rng.random(500) < p**1.5).astype(np.float32)
    metric = fill(Calibration("ece", binning="quantile", dtype="float64"), y, p, batch=90)
    observed, predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
    bins = metric.by_bin()
    assert bins.weight.tolist() == [50] * 10
    assert bins.mean_observed == pytest.approx(observed)
    assert bins.mean_predicted == pytest.approx(predicted, rel=1e-6)
    expected = np.abs(observed - predicted).mean()
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)
    assert bins.ratio == pytest.approx(p.sum() / y.sum(), rel=1e-6)
    # Equal predictions are in one bin, and bins may be empty.
    tied = calibration_bins([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], bins=4)
    assert tied.weight.tolist() == [0, 0, 4, 0] and np.isnan(tied.mean_observed[0])
    heavy = calibration_bins([0, 1], [0.1, 0.2], bins=4, sample_weight=[3, 1])
    assert heavy.weight.tolist() == [0, 3, 0, 1]


@examples(20)
@given(rows(), st.lists(st.integers(0, 30), min_size=60, max_size=60))
def test_areas_by_frequency(case, counts):
    labels, predictions, weights, _ = case
    counts = np.array(counts[: len(labels)])
    metric = FrequencyAUC([1, 5, 20], dtype="float64")
    metric.update_state(labels, predictions, weights, counts=counts)
    assert metric.labels == ["0", "1-4", "5-19", "20+"]
    bucket = np.digitize(counts, [1, 5, 20])
    expected = [
        area(*(None if v is None else v[bucket == b] for v in (labels, predictions, weights)))
        for b in range(4)
    ]
    assert metric.result().numpy() == pytest.approx(expected, abs=1e-9, nan_ok=True)


def make(kind, **arguments):
    if kind is Calibration:
        arguments = {"binning": "quantile", "measure": "ece", **arguments}
    return kind(from_logits=True, **arguments)


def columns(kind, seed=0, number=200):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=number).astype(np.float32)
    y = (rng.random(number) < 1 / (1 + np.exp(-z))).astype(np.float32)
    w = rng.exponential(size=number).astype(np.float32)
    extra = rng.integers(0, 9, number)
    named = {GAUC: {"group": extra}, FrequencyAUC: {"counts": extra}}.get(kind, {})
    return (y, z, w), named


@pytest.mark.parametrize("kind", KINDS)
def test_batches_merges_and_resets(kind, tmp_path):
    values, named = columns(kind)
    whole = make(kind)
    whole.update_state(*values, **named)
    expected = np.asarray(whole.result())
    parted = fill(make(kind), *values, **named)
    assert np.asarray(parted.result()) == pytest.approx(expected, nan_ok=True)
    first, second, third = make(kind, name="one"), make(kind), make(kind)
    for metric, part in ((first, slice(0, 50)), (second, slice(50, 180)), (third, slice(180, 200))):
        given_ = {name: column[part] for name, column in named.items()}
        metric.update_state(*(column[part] for column in values), **given_)
    first.merge_state([second, third])
    assert np.asarray(first.result()) == pytest.approx(expected, nan_ok=True)
    loaded = make(kind)
    for metric in (first, make(kind)):  # the second one adds nothing
        np.savez(tmp_path / "state.npz", *metric.state())
        with np.load(tmp_path / "state.npz") as file:
            loaded.add_state([*file.values()])
    assert np.asarray(loaded.result()) == pytest.approx(expected, nan_ok=True)
    with pytest.raises(ValueError, match="arrays"):
        loaded.add_state(first.state()[1:])
    first.reset_state()
    fill(first, *values, **named)
    assert np.asarray(first.result()) == pytest.approx(expected, nan_ok=True)
    with pytest.raises(ValueError, match=kind.__name__):
        first.merge_state([kind(from_logits=False)])
    with pytest.raises(ValueError, match="settings"):
        first.merge_state([keras.metrics.Mean()])


@pytest.mark.parametrize("kind", KINDS)
def test_settings_and_invalid_predictions(kind):
    metric = make(kind, name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is kind and again.get_config() == metric.get_config()
    values, named = columns(kind, number=9)
    values[1][3] = np.inf
    metric.update_state(*values, **named)
    assert np.isnan(np.asarray(metric.result())).all()


def test_groups_of_text_and_of_one_class():
    metric = GAUC()
    assert float(metric.result()) == 0.5
    metric.update_state([0, 1, 1], [0.2, 0.1, 0.9], group=["ann", "ann", "bob"])
    metric.update_state([[1], [0]], [[0.4], [0.3]], group=[["ann"], ["zoë"]])
    # ann: 0.2 is above 0.1 and below 0.4; bob and zoë have one class.
    assert float(metric.result()) == 0.5 and metric.by_group().weight.tolist() == [3, 1, 1]
    again = GAUC()
    again.add_state(metric.state())
    again.merge_state([metric])
    assert again.by_group().weight.tolist() == [6, 2, 2]
    areas = auc_by_group([0, 1], [0.1, 0.2], [5, 5])
    assert areas.sums().tolist() == [2.0, 2.0]


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match=r"update_state\(y_true, y_pred, group=ids\).*compile"):
        GAUC().update_state([0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="float32"):
        GAUC().update_state([0, 1], [0.1, 0.2], group=[0.5, 1.5])
    with pytest.raises(ValueError, match="one value per row"):
        GAUC().update_state([0, 1], [0.1, 0.2], group=[1, 2, 3])
    with pytest.raises(ValueError, match="measure"):
        Calibration("slope")
    with pytest.raises(ValueError, match="ascending"):
        FrequencyAUC(edges=[5, 5])


@pytest.mark.parametrize("jit", [False, True])
def test_in_compile(jit):
    (y, z, _), _ = columns(AUC)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    kinds = [
        NormalizedEntropy(from_logits=True),
        Calibration(from_logits=True),
        Calibration("ece", from_logits=True, name="ece"),
    ]
    if not jit:
        kinds.append(Calibration("ece", binning="quantile", from_logits=True, name="deciles"))
    model.compile(metrics=kinds, loss=keras.losses.BinaryCrossentropy(True), jit_compile=jit)
    logs = model.evaluate(z[:, None], y, batch_size=32, return_dict=True, verbose=0)
    for metric in kinds:
        alone = type(metric).from_config({**metric.get_config(), "name": "alone"})
        alone.update_state(y, z)
        assert logs[metric.name] == pytest.approx(float(alone.result()), rel=1e-5)
