"""The functions of an export: from raw features, or from ids, to probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tf_helen import keras_access
from tf_helen.layers import DynamicEmbedding, Embedding
from tf_helen.layers.lookups import replaced_lookups
from zoo.data.schema import Schema
from zoo.models import ClickModel
from zoo.serving.encoding import encoded_columns, lookup_table, present_numbers
from zoo.serving.input_names import input_names
from zoo.serving.lookups import served_lookups
from zoo.serving.stored_tables import StoredTable, stored_tables
from zoo.serving.user_once import UserOnce

Raw = Mapping[str, tf.Tensor]


class RawScorer(tf.Module):
    """A model with its vocabularies, which takes raw features and returns probabilities.

    All functions return `{"probability": float32 [B], "logit": float32 [B]}`, and
    `probability = 1 / (1 + exp(-logit))`.

    Args:
        model: a trained `zoo.ClickModel`, whose pending decay has been applied.
        data: string, folder with the vocabularies that the model was trained with.
        stored: dict from embedding layer to `StoredTable`. Defaults to `None`: all rows in float32.
        user: names of the columns that `score_user_once` takes once. Defaults to `()`.

    Raises:
        DataError: if a vocabulary is missing, its size differs from that of the model's field, or
            it is not the one that the model was trained with.
        ValueError: if `user` names an unknown column, or all columns.

    Example:
        >>> scorer = RawScorer(model, "data/frappe")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: ClickModel,
        data: str,
        *,
        stored: Mapping[Embedding, StoredTable] | None = None,
        user: Sequence[str] = (),
    ):
        super().__init__()
        self.model = model
        self.schema = model.schema
        self.inputs = input_names(column.name for column in self.schema.columns)
        known = model.vocabularies
        tables = {
            field.name: lookup_table(data, field, known.get(field.name))
            for field in self.schema.categorical
        }
        self.tables = {name: table for name, table in tables.items() if table is not None}
        self.stored = dict(stored_tables(model) if stored is None else stored)
        self._lookups = served_lookups(self.stored)
        found = [x for x in keras_access.layers_of(model) if isinstance(x, DynamicEmbedding)]
        self.indices = [layer.index for layer in found]
        if user and found:
            raise ValueError(
                f"models with dynamic tables have no signature user_once. Received: user={user}; "
                "leave it out"
            )
        self.once = UserOnce(model, self._lookups, user) if user else None
        # Traced once; the other functions call it.
        self._score_features = tf.function(self._scores, input_signature=[self.feature_specs()])

    def specs(self) -> dict[str, tf.TensorSpec]:
        """Input specs by name: strings `[B]` for fields, float32 `[B]` for numbers."""
        dtypes = {field.name: tf.string for field in self.schema.categorical}
        dtypes |= {column.name: tf.float32 for column in self.schema.numeric}
        return {
            self.inputs[name]: tf.TensorSpec([None], dtype, self.inputs[name])
            for name, dtype in dtypes.items()
        }

    def user_specs(self) -> dict[str, tf.TensorSpec]:
        """Input specs of `score_user_once`: `[1]` for the user's columns, else `[N]`."""
        assert self.once is not None
        user = {self.inputs[column.name] for column in self.once.user.schema.columns}
        return {
            name: tf.TensorSpec([1 if name in user else None], spec.dtype, name)
            for name, spec in self.specs().items()
        }

    def feature_specs(self) -> dict[str, tf.TensorSpec]:
        """Input specs of encoded features: `ids` int32 `[B, W]` and `numeric` float32 `[B, N]`."""
        dtypes = {"ids": tf.int32, "numeric": tf.float32}
        return {
            key: tf.TensorSpec(shape, dtypes[key], key)
            for key, shape in self.model.feature_shapes().items()
        }

    def score(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Scores raw features.

        Args:
            raw: dict by input name: strings `[B]` for fields (several values joined by the field's
                separator; "" is missing) and numbers `[B]` (NaN is missing and becomes the column's
                `missing_value`). See `zoo.serving.encoding`.

        Returns:
            The scores.
        """
        return self._score_features(self._encoded(self.schema, raw))

    def score_ids(self, features: Raw) -> dict[str, tf.Tensor]:
        """Scores encoded features.

        Args:
            features: `{"ids": int32 [B, W], "numeric": float32 [B, N]}`, the columns in the order
                of the schema. An id outside its field counts as 0, the id of unknown values;
                negative ids of a multi-valued field are padding. Numbers are raw; NaN is missing.

        Returns:
            The scores.
        """
        checked = {}
        if "ids" in features:
            fields = [f for f in self.schema.categorical for _ in range(f.length)]
            sizes = tf.constant([field.size for field in fields], tf.int32)
            lowest = tf.constant([-1 if field.length > 1 else 0 for field in fields], tf.int32)
            ids = features["ids"]
            checked["ids"] = tf.maximum(tf.where(ids < sizes, ids, 0), lowest)
        if "numeric" in features:
            checked["numeric"] = present_numbers(self.schema.numeric, features["numeric"])
        return self._score_features(checked)

    def score_examples(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores serialized `tf.train.Example`s `[B]` that hold raw features.

        A multi-valued field is a list of bytes; absent features are missing values.
        """
        wanted: dict = {}
        for field in self.schema.categorical:
            several = tf.io.RaggedFeature(tf.string)
            wanted[field.name] = several if field.length > 1 else _one(tf.string, "")
        for column in self.schema.numeric:
            wanted[column.name] = _one(tf.float32, column.missing_value)
        raw = tf.io.parse_example(serialized, wanted)
        for field in self.schema.categorical:
            if field.length > 1:
                raw[field.name] = tf.strings.reduce_join(
                    raw[field.name], axis=1, separator=field.separator
                )
        return self.score({self.inputs[name]: values for name, values in raw.items()})

    def score_user_once(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Scores N items for one user.

        Args:
            raw: as for `score`, but the user's columns have the shape `[1]`, the others `[N]`.

        Returns:
            The scores, `[N]`.
        """
        assert self.once is not None
        sides = (self._encoded(side.schema, raw) for side in (self.once.user, self.once.item))
        with self.model.settled():
            return _outputs(self.once(*sides))

    def _encoded(self, schema: Schema, raw: Raw) -> dict[str, tf.Tensor]:
        """Returns the features of the columns of a schema."""
        columns = {column.name: raw[self.inputs[column.name]] for column in schema.columns}
        return _same_rows(encoded_columns(schema, columns, self.tables))

    def _scores(self, features: Raw) -> dict[str, tf.Tensor]:
        with replaced_lookups(self._lookups):
            return _outputs(self.model(features, training=False))


def _outputs(logits: tf.Tensor) -> dict[str, tf.Tensor]:
    logit = tf.reshape(logits, [-1])
    return {"probability": tf.sigmoid(logit), "logit": logit}


def _same_rows(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Raises if ids and numbers have different numbers of rows, which an addition broadcasts.

    `tf.concat` and `tf.stack` have compared the columns of each kind.
    """
    if len(features) < 2:
        return features
    rows = {key: tf.shape(values)[0] for key, values in features.items()}
    text = "the inputs have different numbers of rows: fields and numbers have"
    same = tf.debugging.Assert(
        tf.equal(rows["ids"], rows["numeric"]), [text, rows["ids"], rows["numeric"]]
    )
    with tf.control_dependencies([] if same is None else [same]):
        return {key: tf.identity(values) for key, values in features.items()}


def _one(dtype: tf.DType, default: Any) -> tf.io.FixedLenFeature:
    return tf.io.FixedLenFeature([], dtype, default_value=default)
