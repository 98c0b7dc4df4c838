"""Runs of launch.train on clusters: their settings, and comparisons of their results."""

import commands
import numpy as np
import pytest
import tensorflow as tf
from small_clicks import SMALL

from launch.run.history import load_history
from launch.run.training import load_best


def settings_for(data, out, **changes) -> dict:
    return {
        "data": data, "out": str(out), "model_args": SMALL, "batch_size": 64, "epochs": 2,
        "learning_rate": 0.01, "progress": False, "cluster_wait": 60.0, **changes,
    }  # fmt: skip


def check_equal(out, other, bound=1e-5):
    """Compares weights and measurements of two runs."""
    first, second = load_best(str(out)).get_weights(), load_best(str(other)).get_weights()
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=bound)
    for one, two in zip(load_history(str(out)), load_history(str(other)), strict=True):
        assert one.loss == pytest.approx(two.loss, abs=bound)
        assert one.valid_auc == pytest.approx(two.valid_auc, abs=1e-3)
        assert one.valid_logloss == pytest.approx(two.valid_logloss, abs=bound)


def steps_of(out, epoch) -> int:
    """Returns the optimizer's number of steps in the checkpoint after an epoch."""
    reader = tf.train.load_checkpoint(f"{out}/checkpoints/ckpt-{epoch}")
    # A wrapper and its inner optimizer each have a counter.
    keys = [key for key in reader.get_variable_to_shape_map() if "iteration" in key]
    return max(int(reader.get_tensor(key)) for key in keys)


def train_with(config: str, *arguments: str):
    code = (
        f"import os, runpy, sys\nos.environ['TF_CONFIG'] = {config!r}\n"
        f"sys.argv = ['train', *{arguments!r}]\n"
        "runpy.run_module('launch.train', run_name='__main__', alter_sys=True)"
    )
    return commands.run("-c", code)
