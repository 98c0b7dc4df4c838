"""The learning rate falls if validation does not improve, also in a resumed run."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from launch.datasets import synthetic
from launch.datasets.raw import Options
from launch.prepare import prepare
from launch.run.config import RunConfig
from launch.run.history import Epoch
from launch.run.plateau import Plateau, reduced_rate
from launch.run.training import train


def epochs_of(*aucs):
    return [Epoch(i + 1, 0.5, auc, 0.5) for i, auc in enumerate(aucs)]


@pytest.mark.parametrize(
    ("aucs", "expected"),
    [
        ((), 1e-3),
        ((0.7,), 1e-3),
        ((0.7, 0.8), 1e-3),
        ((0.7, 0.7), 1e-4),  # equal is not better
        ((0.7, 0.6, 0.65), 1e-5),  # better than the last is not better than the best
        ((0.7, 0.6, 0.8), 1e-4),  # it never rises again
        ((0.7, 0.6, 0.6, 0.6, 0.6), 1e-6),  # nor falls below this
    ],
)
def test_the_rate_falls_after_every_epoch_that_is_not_the_best_yet(aucs, expected):
    assert reduced_rate(epochs_of(*aucs), 1e-3, 0.1) == pytest.approx(expected, rel=1e-9)


def test_a_rate_that_began_below_the_least_stays():
    assert reduced_rate(epochs_of(0.7, 0.6), 1e-8, 0.1) == 1e-8
    assert reduced_rate(epochs_of(0.7, 0.6), 0.0, 0.1) == 0.0


OPTIMIZERS = {
    "adam": lambda: tf_helen.Adam(0.5),
    "helen": lambda: tf_helen.Helen(base_optimizer=tf_helen.AdamAR(0.5)),
    "cowclip": lambda: tf_helen.CowClip(0.5),
    "keras": lambda: keras.optimizers.Adam(0.5),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(tf_helen.Adam(0.5)),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_kind_of_optimizer_follows(make, capsys):
    optimizer = make()
    plateau = Plateau(optimizer, 0.1, report=True)
    assert plateau.set_rate(epochs_of(0.7)) == 0.5
    assert capsys.readouterr().out == ""
    plateau.set_rate(epochs_of(0.7, 0.6))
    assert float(optimizer.learning_rate) == pytest.approx(0.05)
    assert "learning rate is now 0.05" in capsys.readouterr().out


def test_without_a_factor_nothing_is_touched_and_a_schedule_is_refused_with_one():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
    optimizer = keras.optimizers.Adam(schedule)
    assert Plateau(optimizer, None).set_rate(epochs_of(0.7, 0.6)) is None
    with pytest.raises(ValueError, match=r"reduce_lr=0.1 .*Received: a schedule"):
        Plateau(optimizer, 0.1)


@pytest.mark.parametrize("factor", [0, 1, 1.5, -0.1, True])
def test_a_factor_out_of_range_is_named(factor):
    with pytest.raises(ValueError, match=r"`reduce_lr` must be a factor in \(0, 1\).*Received"):
        RunConfig("data", "out", reduce_lr=factor)


def state_of(out):
    path = tf.train.latest_checkpoint(f"{out}/checkpoints")
    names = [name for name, _ in tf.train.list_variables(path) if "OBJECT_GRAPH" not in name]
    return {name: tf.train.load_variable(path, name) for name in names}


@pytest.mark.slow
def test_a_resumed_run_is_equal_bit_for_bit(tmp_path):
    data = str(tmp_path / "data")
    prepare(synthetic.load(Options(rows=400)), data)
    whole = RunConfig(
        data, str(tmp_path / "whole"), model="lr", learning_rate=2.0, batch_size=64, epochs=5,
        reduce_lr=0.1, progress=False,
    )  # fmt: skip
    history = train(whole)
    fallen = [n for n in range(1, 5) if reduced_rate(history.epochs[:n], 2.0, 0.1) < 2.0]
    broken = dataclasses.replace(whole, out=str(tmp_path / "broken"), epochs=fallen[0] + 1)
    assert broken.epochs < whole.epochs
    train(broken)
    resumed = train(dataclasses.replace(broken, epochs=5, resume=True))
    assert [e.valid_auc for e in resumed.epochs] == [e.valid_auc for e in history.epochs]
    expected = reduced_rate(history.epochs[:-1], 2.0, 0.1)
    first, second = state_of(whole.out), state_of(broken.out)
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)
    rates = [value for key, value in first.items() if "learning_rate" in key]
    np.testing.assert_allclose(rates, [expected], rtol=1e-6)
    with pytest.raises(ValueError, match=r"reduce_lr=0.1.*reduce_lr=None"):
        train(dataclasses.replace(broken, reduce_lr=None, resume=True))
