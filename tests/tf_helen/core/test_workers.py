"""What one process knows of the workers of its strategy; real workers: launch/run."""

import keras
import numpy as np
import tensorflow as tf

from tf_helen.callbacks.replica_values import ReplicaValues
from tf_helen.core.workers import Workers, leads


def test_one_process_leads_and_agrees_with_itself():
    strategy = tf.distribute.get_strategy()
    workers = Workers(strategy)
    assert leads(strategy) and not workers.are_several and workers.agree([1, 2])
    assert workers.any([True, False]) == [True, False]
    np.testing.assert_array_equal(workers.gather([1.5, 2.0]), [[1.5, 2.0]])


def test_values_of_another_number_of_replicas_are_summed():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        metric = keras.metrics.Sum()
    values = ReplicaValues(strategy)
    values.add("total", metric.total.value)
    assert len(values.parts["total"]) == 1
    values.gather()
    values.assign("total", [np.float32(2), np.float32(3)])
    assert float(values.parts["total"][0]) == 5
    values.assign("total", [np.float32(4)])
    assert float(values.parts["total"][0]) == 4
