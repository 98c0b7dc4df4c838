"""Logits of many items for one user, whose features are looked up once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core.checks import nearest
from tf_helen.layers import Embedding
from tf_helen.layers.lookups import Lookup, replaced_lookups
from zoo.data.schema import Schema
from zoo.features import standardized
from zoo.layers import FieldEmbedding
from zoo.layers.column_subset import ColumnSubset
from zoo.models import DNN, FM, LR, ClickModel, DeepFM, WideDeep
from zoo.serving.lookups import ServedLookup

Features = Mapping[str, tf.Tensor]
# Models of which the linear part, the factorization machine and the first layer of the MLP, where
# they have them, are sums of a term of the user and a term of the item.
_SUMS = (LR, FM, DNN, WideDeep, DeepFM)
_FACTORIZED = (FM, DeepFM)


class UserOnce(tf.Module):
    """Scores N items for one user; the user's features are given and looked up once.

    For `zoo.LR`, `FM`, `DNN`, `WideDeep` and `DeepFM` the user's part of the sums is also computed
    once: of the linear part; of the factorization machine, `sum_j e_j = sum_user e_j + sum_item
    e_j` and the same of the squares; and of the first layer, `W x = W_user x_user + W_item x_item`.
    For other models the user's vectors are repeated for each item. The logits are those of the
    model, up to the order of the sums.

    Args:
        model: built `zoo.ClickModel`.
        lookups: dict from embedding layer to `ServedLookup`, for all tables of the model.
        user: names of the user's columns; all other columns are the item's.

    Attributes:
        user, item: `ColumnSubset`, the two parts of the schema.
        shares_first_layer: boolean, whether sums are computed once.

    Raises:
        ValueError: if a name is unknown or occurs twice, or no column is left for the item.

    Example:
        >>> import zoo
        >>> from zoo.serving.lookups import served_lookups
        >>> from zoo.serving.stored_tables import stored_tables
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.FM(schema, 4)
        >>> once = UserOnce(model, served_lookups(stored_tables(model)), ["user"])
        >>> user, items = tf.constant([[3]]), tf.constant([[5], [6]])
        >>> once({"ids": user}, {"ids": items}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        model: ClickModel,
        lookups: Mapping[Embedding, ServedLookup],
        user: Sequence[str],
    ):
        super().__init__()
        names = [column.name for column in model.schema.columns]
        check_user_columns(user, names)
        self.user = ColumnSubset(model.schema, user, "user")
        items = [name for name in names if name not in user]
        self.item = ColumnSubset(model.schema, items, "user")
        self.shares_first_layer = type(model) in _SUMS
        self._model, self._lookups = _Untracked(model), _Untracked(lookups)
        self.kernels: list[tf.Variable] = []
        if self.shares_first_layer and hasattr(model, "mlp"):
            kernel = _first_linear(model).kernel.numpy()
            rows = _kernel_rows(model.embedding)
            with tf.init_scope():
                for side in (self.user, self.item):
                    places = np.concatenate([rows[name] for name in _order(model, side.schema)])
                    self.kernels.append(tf.Variable(kernel[places], trainable=False, name="kernel"))

    def __call__(self, user: Features, item: Features) -> tf.Tensor:
        """Computes logits.

        Args:
            user: features of the user's columns, `{"ids": [1, ...], "numeric": [1, ...]}`.
            item: features of the other columns, `[N, ...]`.

        Returns:
            `[N, 1]`, float32.
        """
        if self.shares_first_layer:
            return tf.cast(self._summed(user, item), tf.float32)
        return self._repeated(user, item)

    # Models that are sums.

    def _summed(self, user: Features, item: Features) -> tf.Tensor:
        model = self._model.value
        sides = [(self.user.schema, user), (self.item.schema, item)]
        terms = []
        if hasattr(model, "linear"):
            terms += [self._linear(*side) for side in sides]
            if model.linear.bias is not None:
                terms.append(tf.convert_to_tensor(model.linear.bias)[None])
        if not hasattr(model, "embedding"):
            return _total(terms)
        vectors = [self._vectors(model.embedding, *side) for side in sides]
        if type(model) in _FACTORIZED:
            terms.append(_factorization_machine(vectors))
        if hasattr(model, "mlp"):
            first = _first_linear(model)
            flat = [self._flat(found, *side) for found, side in zip(vectors, sides, strict=True)]
            products = [
                tf.matmul(tf.cast(x, first.compute_dtype), tf.cast(kernel, first.compute_dtype))
                for x, kernel in zip(flat, self.kernels, strict=True)
            ]
            hidden = products[0] + products[1]
            if first.bias is not None:
                hidden += tf.cast(tf.convert_to_tensor(first.bias), hidden.dtype)
            if model.mlp.steps:
                hidden = model.output_unit(model.mlp.following(hidden, first=1))
            terms.append(hidden)
        return _total(terms)

    def _linear(self, schema: Schema, features: Features) -> tf.Tensor:
        vectors = self._vectors(self._model.value.linear.terms, schema, features)
        return tf.add_n([tf.reduce_sum(found, axis=1) for found in vectors])

    def _vectors(
        self, embedding: FieldEmbedding, schema: Schema, features: Features
    ) -> list[tf.Tensor]:
        """Returns the vectors of some columns, `[n, columns, width]` per table."""
        found = []
        for layer, names in _fields_of(embedding, schema):
            ids = _columns(schema, features, names)
            found.append(self._lookups.value[layer].part(names)(ids))
        if schema.numeric and embedding.vectors is not None:
            dtype = embedding.compute_dtype
            numbers = standardized(schema, features["numeric"], dtype)
            vectors = tf.cast(tf.convert_to_tensor(embedding.vectors), dtype)
            widths = [embedding.widths[c.name] for c in embedding.schema.numeric]
            place = {column.name: i for i, column in enumerate(embedding.schema.numeric)}
            places = [place[column.name] for column in schema.numeric]
            if len(set(widths)) == 1:
                own = tf.gather(tf.reshape(vectors, [-1, widths[0]]), places)
                return [*found, numbers[:, :, None] * own]
            split = tf.split(tf.reshape(vectors, [-1]), widths)
            for number, column in enumerate(places):
                found.append((numbers[:, number : number + 1] * split[column])[:, None])
        return found

    def _flat(self, vectors: list[tf.Tensor], schema: Schema, features: Features) -> tf.Tensor:
        parts = [tf.reshape(x, [-1, x.shape[1] * x.shape[2]]) for x in vectors]
        embedding = self._model.value.embedding
        if schema.numeric and embedding.direct:
            parts.append(standardized(schema, features["numeric"], embedding.compute_dtype))
        return tf.concat(parts, axis=1)

    # Other models.

    def _repeated(self, user: Features, item: Features) -> tf.Tensor:
        model = self._model.value
        rows = tf.shape(next(iter(item.values())))[0]
        features = {}
        sides = (self.user.schema, user), (self.item.schema, item)
        if model.schema.categorical:
            ids = {
                name: columns
                for schema, found in sides
                for name, columns in _split(schema, found).items()
            }
            features["ids"] = tf.concat(
                [_repeat(ids[field.name], rows) for field in model.schema.categorical], axis=1
            )
        if model.schema.numeric:
            numbers = {
                column.name: found["numeric"][:, place : place + 1]
                for schema, found in sides
                for place, column in enumerate(schema.numeric)
            }
            features["numeric"] = tf.concat(
                [_repeat(numbers[column.name], rows) for column in model.schema.numeric], axis=1
            )
        shared = {
            layer: self._repeated_lookup(lookup, user, item, rows)
            for layer, lookup in self._lookups.value.items()
        }
        with replaced_lookups(shared):
            return model(features, training=False)

    def _repeated_lookup(
        self, lookup: ServedLookup, user: Features, item: Features, rows: tf.Tensor
    ) -> Lookup:
        """Returns a lookup that reads the user's rows once, whatever ids it is given."""

        def look_up(ids: tf.Tensor, pool: bool) -> tf.Tensor:
            del ids  # they are those of the two parts
            parts, names = [], []
            for schema, features in ((self.user.schema, user), (self.item.schema, item)):
                known = {field.name for field in schema.categorical}
                own = [name for name in lookup.fields if name in known]
                if own:
                    found = lookup.part(own)(_columns(schema, features, own), pool)
                    parts.append(_repeat(found, rows))
                    names += own
            joined = parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
            if names == lookup.fields:
                return joined
            width = {name: 1 if pool else lookup.layer.lengths[name] for name in names}
            ends = dict(zip(names, np.cumsum([width[name] for name in names]), strict=True))
            order = [np.arange(ends[name] - width[name], ends[name]) for name in lookup.fields]
            return tf.gather(joined, np.concatenate(order), axis=1)

        return look_up


class _Untracked:
    """Holds a value that `tf.Module` must not save."""

    def __init__(self, value: Any):
        self.value = value


def check_user_columns(user: Sequence[str], columns: Sequence[str]) -> None:
    """Raises `ValueError` unless `user` names some columns and leaves others.

    Args:
        user: the names received.
        columns: names of all columns.

    Raises:
        ValueError: names the column that is unknown, or what is missing.

    Example:
        >>> check_user_columns(["age"], ["age", "item"])
    """
    if isinstance(user, str) or not user or len(set(user)) != len(user):
        raise ValueError(f"`user` must be distinct names of columns. Received: {user!r}")
    for name in user:
        if name not in columns:
            raise ValueError(
                f"`user` names {name!r}, which is not a column of the model."
                f"{nearest(name, columns)}"
            )
    if set(user) == set(columns):
        raise ValueError(
            "`user` names all columns of the model; leave out those that differ between items"
        )


def _first_linear(model: ClickModel) -> keras.layers.Dense:
    return model.mlp.steps[0] if model.mlp.steps else model.output_unit


def _kernel_rows(embedding: FieldEmbedding) -> dict[str, np.ndarray]:
    """Returns the rows of the first layer's kernel for each column."""
    ends = np.cumsum(list(embedding.widths.values()))
    return {
        name: np.arange(end - width, end)
        for (name, width), end in zip(embedding.widths.items(), ends, strict=True)
    }


def _fields_of(embedding: FieldEmbedding, schema: Schema) -> list[tuple[Embedding, list[str]]]:
    """Returns the tables that some columns use, with the names of these columns."""
    known = {field.name for field in schema.categorical}
    found = [(t, [n for n in t.fields if n in known]) for t in embedding.tables.values()]
    return [(table, names) for table, names in found if names]


def _order(model: ClickModel, schema: Schema) -> list[str]:
    """Returns the columns in the order in which `UserOnce` concatenates their vectors."""
    fields = [name for _, names in _fields_of(model.embedding, schema) for name in names]
    return [*fields, *(column.name for column in schema.numeric)]


def _split(schema: Schema, features: Features) -> dict[str, tf.Tensor]:
    if not schema.categorical:
        return {}
    lengths = schema.field_lengths
    return dict(zip(lengths, tf.split(features["ids"], list(lengths.values()), 1), strict=True))


def _columns(schema: Schema, features: Features, names: Sequence[str]) -> tf.Tensor:
    """Returns the ids of some fields, `[n, sum of their lengths]`."""
    if list(schema.field_lengths) == list(names):
        return features["ids"]
    columns = _split(schema, features)
    return tf.concat([columns[name] for name in names], axis=1)


def _factorization_machine(sides: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
    total: tf.Tensor = 0.0
    squares: tf.Tensor = 0.0
    for vectors in sides:
        for part in vectors:
            wide = tf.cast(part, tf.float32)
            total += tf.reduce_sum(wide, axis=1)
            squares += tf.reduce_sum(tf.square(wide), axis=1)
    return 0.5 * tf.reduce_sum(tf.square(total) - squares, axis=1, keepdims=True)


def _repeat(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Broadcasts the first axis of a tensor with one row to `rows`; others are returned."""
    shape = tf.concat([[rows], tf.shape(values)[1:]], 0)
    result = tf.broadcast_to(values, shape)
    result.set_shape([None, *values.shape[1:]])
    return result


def _total(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    """Adds terms `[1, 1]` of the user and `[N, 1]` of the items; every model has one of these."""
    total = tf.cast(terms[0], tf.float32)
    for term in terms[1:]:
        total += tf.cast(term, tf.float32)
    return total
