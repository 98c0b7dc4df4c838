"""Model methods before which every embedding table is brought up to date."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from tf_helen.core import tables
from tf_helen.core.mixins import ModelMixin


class SettlesTables(ModelMixin):
    """Mixin before a model class of Keras or tf_keras: tables are up to date when they are read.

    It covers the methods that read weights from outside the training step.
    """

    def table_variables(self) -> Sequence[keras.Variable]:
        """The variables that may be embedding tables.

        Frozen ones too: the optimizer of another model may train them.
        """
        return self.variables

    @contextlib.contextmanager
    def settled(self) -> Iterator[Any]:
        """Within it all tables are up to date and lookups are plain, for tracing an export."""
        self._settle_tables()
        with tables.plain_reads(self.table_variables()):
            yield self

    def _settle_tables(self) -> None:
        tables.settle(self.table_variables())

    def evaluate(self, *args, **kwargs):
        self._settle_tables()
        return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        self._settle_tables()
        return super().predict(*args, **kwargs)

    def test_on_batch(self, *args, **kwargs):
        self._settle_tables()
        return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, *args, **kwargs):
        self._settle_tables()
        return super().predict_on_batch(*args, **kwargs)

    def get_weights(self):
        self._settle_tables()
        return super().get_weights()

    def set_weights(self, *args, **kwargs):
        self._settle_tables()
        return super().set_weights(*args, **kwargs)

    def load_weights(self, *args, **kwargs):
        self._settle_tables()
        return super().load_weights(*args, **kwargs)

    def save_weights(self, *args, **kwargs):
        self._settle_tables()
        return super().save_weights(*args, **kwargs)

    def save(self, *args, **kwargs):
        # tf_keras traces a SavedModel here.
        with self.settled():
            return super().save(*args, **kwargs)

    def export(self, *args, **kwargs):
        with self.settled():
            return super().export(*args, **kwargs)
