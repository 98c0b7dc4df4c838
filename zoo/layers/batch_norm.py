"""Batch normalization that supports empty batches."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class EmptySafeBatchNorm(keras.layers.BatchNormalization):
    """Batch normalization whose moving averages an empty batch does not change.

    A replica gets an empty batch if the last batch has fewer rows than there are replicas. The mean
    of an empty batch is NaN and would make the shared moving averages NaN.

    Args:
        **kwargs: arguments of `keras.layers.BatchNormalization`.

    Example:
        >>> norm = EmptySafeBatchNorm()
        >>> norm(tf.zeros((0, 2)), training=True).shape, norm.moving_mean.numpy().tolist()
        (TensorShape([0, 2]), [0.0, 0.0])
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        renorm = getattr(self, "renorm", False)  # Keras 3.10 does not have it
        if not training or not self.trainable or mask is not None or renorm:
            return super().call(inputs, training=training, mask=mask)
        # The steps of Keras's `call`, which has no hook between the moments and their averages.
        x = keras.ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        axis = self.axis % len(x.shape)
        others = [i for i in range(len(x.shape)) if i != axis]
        found = keras.ops.moments(x, axes=others, synchronized=self.synchronized)
        some = tf.size(x) > 0
        moments = []
        for moving, value in zip((self.moving_mean, self.moving_variance), found, strict=True):
            old = tf.cast(tf.convert_to_tensor(moving), x.dtype)
            moments.append(tf.where(some, value, old))
            moving.assign(old * self.momentum + moments[-1] * (1.0 - self.momentum))
        outputs = keras.ops.batch_normalization(
            x,
            *moments,
            axis=self.axis,
            offset=keras.ops.cast(self.beta, x.dtype) if self.center else None,
            scale=keras.ops.cast(self.gamma, x.dtype) if self.scale else None,
            epsilon=self.epsilon,
        )
        return keras.ops.cast(outputs, self.compute_dtype)
