"""The Tri-BCE loss of DCNv3."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tf_helen.core import replicas


def part_losses(
    label: tf.Tensor,
    logit: tf.Tensor,
    parts: Sequence[tf.Tensor],
    sample_weight: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns Tri-BCE's terms added to the cross-entropy L: `sum_k max(0, L_k - L) L_k`.

    L_k is the cross-entropy of part k of the model; a part that is worse than the whole model gets
    a larger weight. The weights are differentiated too, as in the authors' code. Under replicas the
    losses are those of the global batch, and each replica returns its share.

    Args:
        label: tensor `[B]` or `[B, 1]`, from 0 to 1.
        logit: tensor `[B, 1]`, the model's logit.
        parts: list of tensors `[B, 1]`, the logits of the parts.
        sample_weight: tensor `[B]` or `[B, 1]`. Defaults to `None`: 1.

    Returns:
        A scalar, float32.

    Reference: Li et al. (arXiv 2407.13349), section 3.4.

    Example:
        >>> zero, wrong = tf.constant([[0.0]]), tf.constant([[-4.0]])
        >>> round(float(part_losses(tf.constant([1.0]), zero, [zero, wrong])), 2)
        13.36
    """
    label = tf.reshape(tf.cast(label, tf.float32), [-1])

    def loss(logits):
        logits = tf.reshape(tf.cast(logits, tf.float32), [-1])
        losses = tf.nn.sigmoid_cross_entropy_with_logits(label, logits)
        if sample_weight is not None:
            losses *= tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
        # A replica may have no rows.
        mean = tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))
        return mean / replicas.count()

    whole, *each = replicas.all_reduce_sum([loss(logit), *map(loss, parts)])
    extra = tf.add_n([tf.nn.relu(part - whole) * part for part in each])
    return extra / replicas.count()
