"""AUC and LogLoss against scikit-learn, in graphs, in fit, across replicas, after a reload."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some
from sklearn.metrics import log_loss, roc_auc_score

from tf_helen.metrics import AUC, LogLoss

ROWS = 200_000


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-np.asarray(z, np.float64)))


def draw(rng, probabilities):
    return (rng.random(len(probabilities)) < probabilities).astype(np.float32)


def make(name):
    """Returns (labels, float32 logits) of one hard case."""
    rng = np.random.default_rng(7)
    signal = rng.normal(size=1_000_000 if name == "normal" else ROWS)
    coin = draw(rng, sigmoid(signal))
    clicks = draw(rng, np.clip(1e-3 * np.exp(signal), 0, 1))  # CTR around 0.16 %
    logits = {
        "normal": signal,
        "fresh model": 1e-4 * signal,
        "rare clicks": signal - 7.0,
        "all near 1e-4": -9.21 + 0.01 * signal,
        "ties": np.round(signal, 1),
        "saturated": np.clip(30 * signal, -30, 30),
        "two saturated values": np.where(signal > 0.3, 30.0, -30.0),
        "one value for a third": np.where(rng.random(len(signal)) < 0.33, 0.7, signal),
        "constant": np.full(len(signal), -3.2),
    }[name]
    return (clicks if name == "rare clicks" else coin), logits.astype(np.float32)


CASES = [
    "normal",
    "fresh model",
    "rare clicks",
    "all near 1e-4",
    "ties",
    "saturated",
    "two saturated values",
    "one value for a third",
    "constant",
]


def run(metric, labels, predictions, weights=None, batch=65_536):
    """Feeds the rows in batches, inside a tf.function, and returns the result as a float."""
    update = tf.function(metric.update_state, reduce_retracing=True)
    for i in range(0, len(labels), batch):
        part = slice(i, i + batch)
        update(labels[part], predictions[part], None if weights is None else weights[part])
    return float(metric.result())


@pytest.mark.parametrize("case", CASES)
def test_logits_match_scikit_learn(case):
    labels, logits = make(case)
    assert run(AUC(from_logits=True), labels, logits) == pytest.approx(
        roc_auc_score(labels, logits), abs=1e-5
    )
    expected = np.mean(np.logaddexp(0, logits.astype(np.float64)) - labels * logits)
    assert run(LogLoss(from_logits=True), labels, logits) == pytest.approx(expected, rel=1e-6)
    # Both columns: 1 - sigmoid(30) has lost most of its digits.
    reference = log_loss(labels, np.c_[sigmoid(-logits), sigmoid(logits)])
    assert run(LogLoss(from_logits=True), labels, logits) == pytest.approx(reference, rel=1e-6)


@pytest.mark.parametrize("spread", [0.01, 0.3])
def test_probabilities_near_1e4_match_scikit_learn(spread):
    rng = np.random.default_rng(3)
    signal = rng.normal(size=ROWS)
    probabilities = (1e-4 * (1 + spread * signal)).clip(1e-7).astype(np.float32)
    labels = draw(rng, 1e-3 * np.exp(signal))
    got = run(AUC(from_logits=False), labels, probabilities)
    assert got == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-5)
    got = run(LogLoss(from_logits=False), labels, probabilities)
    reference = log_loss(labels, probabilities.astype(np.float64))
    assert got == pytest.approx(reference, rel=1e-6)


@pytest.mark.parametrize("rows", [5, 30, 1000])
def test_small_sets_match_scikit_learn(rows):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=rows).astype(np.float32) - 2
        labels = np.r_[0, 1, draw(rng, np.full(rows - 2, 0.3))]
        got = run(AUC(from_logits=True, dtype="float64"), labels, logits)
        assert got == pytest.approx(roc_auc_score(labels, logits), abs=1e-5)


def test_sample_weights_match_scikit_learn_and_zero_weight_rows_do_not_count():
    labels, logits = make("saturated")
    weights = np.random.default_rng(1).exponential(size=len(labels)).astype(np.float32)
    weights[::3] = 0
    expected = roc_auc_score(labels, logits, sample_weight=weights)
    assert run(AUC(from_logits=True), labels, logits, weights) == pytest.approx(expected, abs=1e-5)
    both = np.c_[sigmoid(-logits), sigmoid(logits)]
    expected = log_loss(labels, both, sample_weight=weights)
    assert run(LogLoss(from_logits=True), labels, logits, weights) == pytest.approx(
        expected, rel=1e-6
    )
    kept = run(
        LogLoss(from_logits=True), labels[weights > 0], logits[weights > 0], weights[weights > 0]
    )
    assert run(LogLoss(from_logits=True), labels, logits, weights) == pytest.approx(kept, rel=1e-12)


def test_not_an_average_over_batches_and_reset_forgets():
    labels, logits = make("rare clicks")
    for metric in (AUC(from_logits=True), LogLoss(from_logits=True)):
        whole = run(metric, labels, logits, batch=len(labels))
        metric.reset_state()
        assert run(metric, labels, logits, batch=3_001) == pytest.approx(whole, rel=1e-6)
        run(metric, labels, -logits)
        metric.reset_state()
        assert run(metric, labels, logits) == pytest.approx(whole, rel=1e-6)


def test_counts_pass_the_integers_float32_can_hold():
    labels, logits = np.array([0.0, 1.0]), np.array([0.0, 0.0], np.float32)
    auc, loss = AUC(from_logits=True, bins=2), LogLoss(from_logits=True)
    for metric in (auc, loss):
        metric.update_state(labels, logits, 2.0**25)
        metric.update_state(labels, logits)  # a float32 count would lose these two rows
    negatives = auc.variables[1]
    assert float(tf.reduce_sum(negatives.value)) == 2**25 + 1
    assert float(loss.count.value) == 2**26 + 2


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_or_no_rows_give_one_half(label):
    metric = AUC(from_logits=True)
    assert float(metric.result()) == 0.5
    metric.update_state([label, label], [0.3, -0.2])
    assert float(metric.result()) == 0.5
    assert float(LogLoss(from_logits=True).result()) == 0.0


@pytest.mark.parametrize("kind", [AUC, LogLoss])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("from_logits", [True, False])
def test_broken_predictions_surface_as_nan(kind, bad, from_logits):
    metric = kind(from_logits=from_logits)
    metric.update_state([0, 1, 1], [0.1, bad, 0.2])
    metric.update_state([0, 1], [0.1, 0.2])
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize("kind", [AUC, LogLoss])
def test_logits_taken_for_probabilities_and_wrong_labels_are_not_hidden(kind):
    metric = kind(from_logits=False)
    metric.update_state([0, 1], [-1.5, 0.2])
    assert np.isnan(float(metric.result()))
    with pytest.raises(ValueError, match="Labels"):
        kind().update_state([-1, 1], [0.1, 0.2])
    metric = kind()
    tf.function(metric.update_state)(tf.constant([-1, 1]), tf.constant([0.1, 0.2]))
    assert np.isnan(float(metric.result()))
    with pytest.raises(ValueError, match="y_true must have as many values as y_pred"):
        kind().update_state([0, 1, 1], [0.1, 0.2])


@pytest.mark.parametrize("kind", [AUC, LogLoss])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float16", "float64"])
def test_shapes_and_dtypes_do_not_matter(kind, dtype):
    labels, logits = np.array([0, 1, 1, 0]), np.array([-1.0, 0.5, -2.0, 0.25], np.float32)
    expected = run(kind(from_logits=True), labels.astype("float32"), logits)
    for shape in ((4,), (4, 1)):
        metric = kind(from_logits=True)
        metric.update_state(labels.astype(dtype).reshape(shape), logits.reshape(4, 1))
        assert float(metric.result()) == expected


def test_soft_labels_count_to_both_classes():
    metric = AUC(from_logits=True)
    metric.update_state([0.25, 1.0], [1.0, 0.0])
    split = roc_auc_score([1, 0, 1], [1, 1, 0], sample_weight=[0.25, 0.75, 1.0])
    assert float(metric.result()) == pytest.approx(split, abs=1e-7)


@pytest.mark.parametrize("metric", [AUC(False, 64, "a"), LogLoss(False, 1e-5, "b", "float64")])
def test_config_round_trip(metric):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric) and again.get_config() == metric.get_config()


@pytest.mark.parametrize("arguments", [{"bins": 3}, {"bins": 0}])
def test_bad_bins_are_refused(arguments):
    with pytest.raises(ValueError, match="bins"):
        AUC(**arguments)


def test_bad_epsilon_is_refused():
    with pytest.raises(ValueError, match="epsilon"):
        LogLoss(epsilon=0.5)


def test_stateless_update_equals_the_stateful_one():
    metric = AUC(from_logits=True, bins=64)
    state = metric.stateless_update_state(
        [v.value for v in metric.variables], [0, 1, 1], [0.1, 0.2, -0.3]
    )
    assert float(metric.result()) == 0.5
    assert float(metric.stateless_result(state)) == pytest.approx(0.5)
    assert float(tf.reduce_sum(state[0])) == 2.0


POLICIES = [("float32", True), ("mixed_float16", False), ("mixed_bfloat16", False)]


@pytest.mark.parametrize("policy,jit", some(POLICIES, [("float32", True)]))
def test_fit_evaluate_save_and_load(tmp_path, policy, jit):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 4)).astype(np.float32)
    y = draw(rng, sigmoid(2 * x[:, 0] - 1))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(
        "adam",
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[AUC(from_logits=True), LogLoss(from_logits=True)],
        jit_compile=jit,
    )
    history = model.fit(x, y, batch_size=96, epochs=2, validation_data=(x, y), verbose=0)
    logits = np.asarray(model.predict(x, verbose=0), np.float32)[:, 0]
    assert history.history["val_auc"][-1] == pytest.approx(roc_auc_score(y, logits), abs=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    logs = again.evaluate(x, y, batch_size=96, return_dict=True, verbose=0)
    assert logs["auc"] == pytest.approx(roc_auc_score(y, logits), abs=1e-5)
    assert logs["logloss"] == pytest.approx(log_loss(y, sigmoid(logits)), rel=1e-5)


TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
from sklearn.metrics import log_loss, roc_auc_score
from tf_helen.metrics import AUC, GAUC, Calibration, LogLoss, NormalizedEntropy
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
rng = np.random.default_rng(0)
x = rng.normal(size=(1001, 4)).astype("float32")
y = (rng.random(1001) < 1 / (1 + np.exp(1 - 2 * x[:, 0]))).astype("float32")
keras.utils.set_random_seed(0)
with strategy.scope():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True),
                  metrics=[AUC(from_logits=True), LogLoss(from_logits=True)])
train = model.fit(x, y, batch_size=64, epochs=1, validation_data=(x, y), verbose=0).history
logs = model.evaluate(x, y, batch_size=64, return_dict=True, verbose=0)
z = model.predict(x, verbose=0)[:, 0].astype("float64")
auc, loss = roc_auc_score(y, z), log_loss(y, 1 / (1 + np.exp(-z)))
for prefix, got in (("val_", train), ("", {k: [v] for k, v in logs.items()})):
    assert abs(got[prefix + "auc"][0] - auc) < 1e-5, (got, auc)
    assert abs(got[prefix + "logloss"][0] - loss) < 1e-5, (got, loss)
positives = model.metrics[1].metrics[0].variables[0]
assert float(tf.reduce_sum(positives.value)) == y.sum()
with strategy.scope():
    metrics = GAUC(True), Calibration(from_logits=True), NormalizedEntropy(True)
group = np.arange(1001) % 7
def update(labels, logits, groups):
    metrics[0].update_state(labels, logits, group=groups)
    for metric in metrics[1:]:
        metric.update_state(labels, logits)
rows = tf.data.Dataset.from_tensor_slices((y, z, group)).batch(100)
step = tf.function(lambda batch: strategy.run(update, batch), reduce_retracing=True)
for batch in strategy.experimental_distribute_dataset(rows):
    step(batch)
p = 1 / (1 + np.exp(-z))
gauc = np.average([roc_auc_score(y[group == g], z[group == g]) for g in range(7)],
                  weights=np.bincount(group))
base = log_loss(y, np.full(1001, y.mean()))
for metric, wanted in zip(metrics, (gauc, p.sum() / y.sum(), loss / base)):
    assert abs(float(metric.result()) - wanted) < 1e-6, (metric.name, wanted)
metrics[1].merge_state([Calibration(from_logits=True), metrics[1]])  # under replicas too
assert abs(float(metrics[1].result()) - p.sum() / y.sum()) < 1e-6
assert metrics[1].by_bin().weight.sum() == 2 * 1001
print("replicas agree")
"""


@pytest.mark.slow
def test_two_replicas_add_up():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], env=environment, capture_output=True, text=True
    )
    assert "replicas agree" in done.stdout, done.stderr[-3000:]
