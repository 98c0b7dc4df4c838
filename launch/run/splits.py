"""The rows of a run, split by split."""

from __future__ import annotations

import math

import tensorflow as tf

import zoo
from launch.run.memory import DataMemory
from zoo.data.manifest import load_manifest


class RunData:
    """The splits of a run; the training rows in an order that depends on seed and epoch only.

    Args:
        config: settings of the run.
        schema: the columns.
        ledger: receives the account of damaged records.
        drop_remainder: whether a last, smaller batch is left out.
        memory: keeps rows for several runs; they are the same, in the same order. `None`: the
            files are read in each epoch.

    Attributes:
        valid: the validation rows.
        test: the test rows; `None` if there are none, or the run does not score them.
        rows: how many rows an epoch trains.

    Raises:
        ValueError: if a batch has more rows than the split, or too many records are damaged.
    """

    def __init__(self, config, schema, ledger, drop_remainder, memory: DataMemory | None = None):
        self._config, self._schema, self._ledger = config, schema, ledger
        self._memory = memory
        self._drop_remainder = drop_remainder
        splits = load_manifest(config.data)
        self.valid = self._read("valid")
        has_test = config.evaluate_test and (not splits or "test" in splits)
        self.test = self._read("test") if has_test else None
        known = zoo.Ledger()
        try:
            self._read("train", known, **self._order(1))  # checks the records once
        finally:
            for account in known.files.values():
                ledger.add(account)
        self._damaged = known.total_lost > 0
        self.rows = known.total_read
        if drop_remainder:
            self.rows -= self.rows % config.batch_size
            if not self.rows:
                raise ValueError(
                    f"batch_size={config.batch_size} exceeds the {known.total_read} training "
                    "rows; use a smaller one"
                )

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(self.rows / self._config.batch_size)

    def train(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
        """The training rows in the order of an epoch, from the batch `skip` on."""
        # Skipping costs the time of reading the records, which is far less than that of training
        # them. The state of the iterator instead would hold the buffer of the shuffle: with each
        # checkpoint some seconds and 40 MB, at 40 numbers per row.
        # Undamaged files need no second check; damaged ones are read by way of it.
        how = {"verify": self._damaged, "skip_batches": skip, **self._order(epoch)}
        rows = self._read("train", zoo.Ledger(), **how)
        return rows.apply(tf.data.experimental.assert_cardinality(self.steps - skip))

    def _order(self, epoch: int) -> dict:
        seed = (self._config.seed * 1_000_003 + epoch) % 2**31
        return {"shuffle": True, "seed": seed, "drop_remainder": self._drop_remainder}

    def _read(self, split: str, ledger: zoo.Ledger | None = None, **options) -> tf.data.Dataset:
        ledger = self._ledger if ledger is None else ledger
        # Scores do not depend on it: larger batches are faster.
        options["batch_size"] = self._config.batch_size if split == "train" else 4096
        if self._memory is not None:
            kept = self._memory.split(split, self._schema, ledger, self._config.max_lost)
            if kept is not None:
                options.pop("verify", None)
                return kept.batches(**options)
        return zoo.read_tfrecords(
            self._config.data,
            split,
            self._schema,
            ledger=ledger,
            max_lost=self._config.max_lost,
            **options,
        )
