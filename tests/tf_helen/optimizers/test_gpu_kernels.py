"""Training steps run on a GPU: each of their operations has a GPU kernel.

TensorFlow's CUDA build registers its GPU kernels also where there is no GPU. Operations on strings,
which make the messages of errors from single ids, run on the host.
"""

import keras
import pytest
import tensorflow as tf
from gpu_kernels import is_known, without_gpu_kernel
from kinds import some
from optimizer_table import ENTRIES, cases

import tf_helen

pytestmark = pytest.mark.skipif(not is_known(), reason="TensorFlow is a CPU build")
FAST = ("Helen(AdamAR)",)


def traced(optimizer, dtype="float32"):
    inputs = keras.Input((2,), dtype="int32")
    x = tf_helen.layers.Embedding({"user": 20, "item": 10}, 4, dtype=dtype)(inputs)
    x = keras.layers.Dense(4, activation="relu")(keras.layers.Flatten()(x))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    rows = tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([None, 1], tf.float32)
    return tf.function(model.train_step).get_concrete_function(rows).graph


@pytest.mark.parametrize("name", cases(ENTRIES, FAST))
def test_the_step_of_every_optimizer_has_gpu_kernels(name):
    assert without_gpu_kernel(traced(ENTRIES[name].make())) == set()


@pytest.mark.parametrize("dtype", some(("float16", "bfloat16"), ("float16",)))
def test_the_step_of_half_precision_tables_has_gpu_kernels(dtype):
    assert without_gpu_kernel(traced(tf_helen.AdamAR(), dtype)) == set()


def test_an_operation_without_a_gpu_kernel_is_found():
    @tf.function
    def step(x):
        return tf.broadcast_to(x, [3])

    with tf.Graph().as_default():
        graph = step.get_concrete_function(tf.TensorSpec([], tf.uint32)).graph
    assert without_gpu_kernel(graph) == {"BroadcastTo(T=uint32, Tidx=int32)"}
