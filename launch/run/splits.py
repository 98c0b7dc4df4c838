"""The rows of a run, by split."""

from __future__ import annotations

import math

import tensorflow as tf

import zoo
from launch.run.memory import DataMemory
from zoo.data.manifest import load_manifest
from zoo.data.opened_split import open_split


class RunData:
    """The splits of a run; the order of the training rows depends on seed and epoch only.

    Args:
        config: `RunConfig`, the settings of the run.
        schema: `zoo.Schema`, the columns.
        ledger: `zoo.Ledger` that receives the counts of damaged records.
        drop_remainder: boolean, whether a last, smaller batch is dropped.
        memory: `DataMemory` that keeps rows for several runs, in the same order. Defaults to
            `None`: the files are read in each epoch.

    Attributes:
        valid: `tf.data.Dataset`, the validation rows; `None` if the run does not evaluate them.
        test: `tf.data.Dataset`, the test rows; `None` without a test split, or if the run does not
            evaluate it.
        rows: int, number of training rows per epoch.
        evaluated: dict from "valid" and "test" to their number of rows, if it is known.

    Raises:
        ValueError: if the batch size exceeds the training split, or too many records are damaged.
    """

    def __init__(self, config, schema, ledger, drop_remainder, memory: DataMemory | None = None):
        self._config, self._schema, self._ledger = config, schema, ledger
        self._memory = memory
        self._drop_remainder = drop_remainder
        splits = load_manifest(config.data)
        known_rows = {name: split.total_rows for name, split in splits.items()}
        self.evaluated = {name: known_rows.get(name) for name in ("valid", "test")}
        self.valid = self._read("valid") if config.validate else None
        has_test = config.evaluate_test and (not splits or "test" in splits)
        self.test = self._read("test") if has_test else None
        known = zoo.Ledger()
        try:
            self._check("train", known)
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
                    "rows; use a smaller batch size"
                )

    @property
    def steps(self) -> int:
        """Number of steps per epoch."""
        return math.ceil(self.rows / self._config.batch_size)

    def train(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
        """Returns the batches of an epoch in order, without the first `skip`."""
        # Skipped batches are read again, which takes far less time than training them. A saved
        # iterator would contain the shuffle buffer: some seconds and 40 MB per checkpoint, at 40
        # numbers per row.
        # Intact files are not checked again; in damaged ones, the check skips the damaged records.
        how = {"verify": self._damaged, "skip_batches": skip, **self._order(epoch)}
        rows = self._read("train", zoo.Ledger(), **how)
        return rows.apply(tf.data.experimental.assert_cardinality(self.steps - skip))

    def _check(self, split: str, ledger: zoo.Ledger) -> None:
        """Checks all records once, without a pipeline that reads them."""
        if self._memory is not None:
            limit = self._config.max_lost
            time = self._config.needs_time
            if self._memory.split(split, self._schema, ledger, limit, time=time) is not None:
                return
        open_split(self._config.data, split, self._schema, ledger, self._config.max_lost)

    def _order(self, epoch: int) -> dict:
        seed = (self._config.seed * 1_000_003 + epoch) % 2**31
        return {"shuffle": True, "seed": seed, "drop_remainder": self._drop_remainder}

    def _read(self, split: str, ledger: zoo.Ledger | None = None, **options) -> tf.data.Dataset:
        ledger = self._ledger if ledger is None else ledger
        # Scores do not depend on it: larger batches are faster.
        options["batch_size"] = self._config.batch_size if split == "train" else 4096
        return self._shared(self._opened(split, ledger, options))

    def _shared(self, rows: tf.data.Dataset) -> tf.data.Dataset:
        """Returns batches of which each worker takes a part of every one."""
        if self._config.strategy != "multi_worker":
            return rows
        options = tf.data.Options()
        policies = tf.data.experimental.AutoShardPolicy
        options.experimental_distribute.auto_shard_policy = policies.DATA
        return rows.with_options(options)

    def _opened(self, split: str, ledger: zoo.Ledger, options: dict) -> tf.data.Dataset:
        time = split == "train" and self._config.needs_time
        if self._memory is not None:
            limit = self._config.max_lost
            kept = self._memory.split(split, self._schema, ledger, limit, time=time)
            if kept is not None:
                options.pop("verify", None)
                return kept.batches(**options)
        return zoo.read_tfrecords(
            self._config.data,
            split,
            self._schema,
            ledger=ledger,
            max_lost=self._config.max_lost,
            time=time,
            **options,
        )
