"""DIN: attention of the candidate item to the user's history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.layers.target_attention import TargetAttention
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel

Names = Sequence[str | Sequence[str]]


@keras.saving.register_keras_serializable(package="zoo")
class DIN(ClickModel):
    """Histories pooled by target attention, and an MLP over all vectors.

    A history is a multi-valued field, its target a single-valued one, such as the items a user saw
    and the candidate item. Other multi-valued fields are pooled by mean or sum.

    `s = sum_i a_i h_i`, `a_i = w . MLP_a([t; h_i; t - h_i; t * h_i]) + b`;
    `logit = v . MLP([e_1; ...; s; ...; e_F]) + c`. An empty history gives zeros.

    Two differences from FuxiCTR: padding does not enter the batch statistics of Dice, and with
    `softmax=True` an empty history gives zeros instead of the embedding of its padding.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 12.
        targets: list of single-valued fields. A tuple of several names, `[("item", "category")]`,
            stands for their concatenated vectors, as in the paper. Defaults to `None`.
        sequences: list of the histories of the targets, `[("item_history", "category_history")]`;
            those of one tuple are aligned. Defaults to `None`: every multi-valued field that
            `shares` with a single-valued one is a history of that field, with its own attention.
        attention_hidden_units: sequence of ints, widths of the hidden layers of the attention's
            MLP. Defaults to `(36,)`.
        attention_activation: Keras activation of that MLP, or "dice". Defaults to "dice".
        attention_dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden
            layer of that MLP. Defaults to 0.
        softmax: boolean; normalizes the weights of a history to the sum 1. Defaults to `False`.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP. Defaults to
            `(200, 80)`.
        activation: Keras activation of the MLP, or "dice". Defaults to "dice".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a schema without histories, a value out of range, or features that do not
            fit the schema.

    Reference: Zhou et al., KDD 2018 (arXiv 1706.06978), sections 4.3 and 5.2; published for
        Alibaba's data with d = 12, 200-80, Dice, one tuple of all histories, Adam, batch 5000; for
        Amazon and MovieLens with SGD, batch 32.

    Example:
        >>> import numpy as np, zoo
        >>> seen = zoo.Categorical("seen", 20, length=3, shares="item")
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("item", 20), seen])
        >>> model = zoo.DIN(schema, embedding_dim=4, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5, 6, -1], [3, -1, -1, -1]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 12,
        *,
        targets: Names | None = None,
        sequences: Names | None = None,
        attention_hidden_units: Sequence[int] = (36,),
        attention_activation: Any = "dice",
        attention_dropout: float | Sequence[float] = 0.0,
        softmax: bool = False,
        hidden_units: Sequence[int] = (200, 80),
        activation: Any = "dice",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.histories = _histories(self.schema, targets, sequences)
        self.embedding = self.embed()
        self.attention = [
            TargetAttention(
                attention_hidden_units,
                activation=attention_activation,
                dropout=attention_dropout,
                softmax=softmax,
                dtype=self.dtype_policy,
                name=f"attention_{i}",
            )
            for i in range(len(self.histories))
        ]
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        self.output_unit = self.output_layer()
        self.finish(
            targets=targets,
            sequences=sequences,
            attention_hidden_units=attention_hidden_units,
            attention_activation=attention_activation,
            attention_dropout=attention_dropout,
            softmax=softmax,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        lengths = self.schema.field_lengths
        vectors = self.embedding(features, training=training, pool=False)
        sizes = [*lengths.values(), self.columns - len(lengths)]
        *of_fields, numbers = tf.split(vectors, sizes, axis=1)
        of_field = dict(zip(lengths, of_fields, strict=True))
        ids = dict(zip(lengths, tf.split(features["ids"], sizes[:-1], axis=1), strict=True))
        pooled: dict[str, tf.Tensor] = {}
        for attention, (targets, sequences) in zip(self.attention, self.histories, strict=True):
            target = tf.concat([of_field[name][:, 0] for name in targets], axis=1)
            history = tf.concat([of_field[name] for name in sequences], axis=2)
            found = attention(target, history, ids[sequences[0]] >= 0, training=training)
            pooled |= dict(zip(sequences, tf.split(found, len(sequences), axis=1), strict=True))
        for field in self.schema.categorical:
            if field.name in pooled:
                continue
            values = of_field[field.name]
            if field.length == 1:
                pooled[field.name] = values[:, 0]
                continue
            # float32, because half precision loses the later terms of a sum and miscounts.
            summed = tf.reduce_sum(tf.cast(values, tf.float32), axis=1)
            if field.pooling == "mean":
                count = tf.math.count_nonzero(ids[field.name] >= 0, axis=1, keepdims=True)
                summed /= tf.cast(tf.maximum(count, 1), summed.dtype)
            pooled[field.name] = tf.cast(summed, values.dtype)
        parts = [*(pooled[name] for name in lengths), *tf.unstack(numbers, axis=1)]
        flat = self.side_by_side(tf.concat(parts, axis=1), features)
        return self.output_unit(self.mlp(flat, training=training))


def _histories(
    schema: Schema, targets: Names | None, sequences: Names | None
) -> list[tuple[list[str], list[str]]]:
    """Pairs the targets with their sequences; the members of a tuple stay together."""
    lengths = schema.field_lengths
    if targets is None and sequences is None:
        pairs = [(f.shares, f.name) for f in schema.categorical if f.shares and f.length > 1]
        pairs = [(target, name) for target, name in pairs if lengths.get(target) == 1]
        targets, sequences = [target for target, _ in pairs], [name for _, name in pairs]
    targets, sequences = _tuples("targets", targets), _tuples("sequences", sequences)
    if not sequences and not targets:
        raise ValueError(
            f"DIN needs histories, and schema {schema.name!r} has none: multi-valued fields that "
            "share with a single-valued one, such as Categorical('item_history', length=50, "
            "shares='item'). Add one, set `targets` and `sequences`, or use another model, such "
            "as DNN."
        )
    if list(map(len, targets)) != list(map(len, sequences)):
        raise ValueError(
            f"`targets` and `sequences` must be pairs. Received: {targets} and {sequences}"
        )
    used = [name for group in sequences for name in group]
    for target in (name for group in targets for name in group):
        if lengths.get(target) != 1:
            raise ValueError(f"target {target!r} is not a single-valued field of the schema")
    for group in sequences:
        if len({lengths.get(name) for name in group}) > 1:
            raise ValueError(f"sequences {group} are concatenated and must have the same length")
        for name in group:
            if lengths.get(name, 1) == 1 or used.count(name) > 1:
                raise ValueError(
                    f"sequence {name!r} is not a multi-valued field, or occurs twice; see the "
                    "schema"
                )
    return list(zip(targets, sequences, strict=True))


def _tuples(what: str, names: Names | None) -> list[list[str]]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ValueError(f"`{what}` must be a list of names or tuples. Received: {names!r}")
    groups = [[group] if isinstance(group, str) else group for group in names]
    for group in groups:
        is_list = isinstance(group, Sequence)
        if not is_list or not all(isinstance(name, str) for name in group):
            raise ValueError(
                f"`{what}` must be a list of names of fields, or of tuples of names, such as "
                f"['item'] or [('item', 'category')]. Received: {names!r}"
            )
    return [list(group) for group in groups]
