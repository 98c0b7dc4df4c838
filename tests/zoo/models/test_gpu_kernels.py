"""The training step of every model runs on a GPU: each of its operations has a GPU kernel."""

import pytest
import tensorflow as tf
from gpu_kernels import is_known, without_gpu_kernel
from kinds import some
from zoo_cases import BCE, MODELS, batch, small

import tf_helen

pytestmark = pytest.mark.skipif(not is_known(), reason="TensorFlow is a CPU build")


@pytest.mark.parametrize("name", some(MODELS, ("din",)))
def test_the_step_of_every_model_has_gpu_kernels(name):
    model = small(name)
    model.compile(tf_helen.Adam(), BCE, jit_compile=False)
    features, labels = batch()
    model(features)
    specs = tf.nest.map_structure(
        lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), (features, labels)
    )
    graph = tf.function(model.train_step).get_concrete_function(specs).graph
    assert without_gpu_kernel(graph) == set()
