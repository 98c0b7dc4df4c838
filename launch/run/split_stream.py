"""The rows of the splits of a pass over time."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

import zoo
from launch.run.config import RunConfig
from launch.run.memory import DataMemory
from launch.run.slices import Rows, Span, cut, plan_slices, read_rows
from zoo.data.manifest import load_manifest

_READ = 4096  # rows read at once


class SplitStream:
    """The splits of a pass, slice by slice, in the order of their files.

    Args:
        config: `RunConfig`, settings of the run, with `progressive`.
        schema: `zoo.Schema`, the columns.
        ledger: `zoo.Ledger` that receives the account of damaged records.
        memory: `DataMemory` that keeps rows for several runs. Defaults to `None`.

    Attributes:
        spans: list of `Span`, the slices.
        rows: int, the rows of all slices.

    Raises:
        DataError: if a split is missing, or too many records are damaged.
    """

    def __init__(
        self,
        config: RunConfig,
        schema: zoo.Schema,
        ledger: zoo.Ledger,
        memory: DataMemory | None = None,
    ):
        self._config, self._schema, self._ledger, self._memory = config, schema, ledger, memory
        self._splits = config.progressive.splits
        rows, self._damaged = {}, {}
        for split in self._splits:
            known = zoo.Ledger()
            try:
                self._read(split, known, grouped=True)  # checks the records once
            finally:
                for account in known.files.values():
                    ledger.add(account)
            rows[split], self._damaged[split] = known.total_read, known.total_lost > 0
        self.spans = plan_slices(rows, config.progressive, config.batch_size)
        self.rows = sum(rows.values())

    def slices(self) -> Iterator[tuple[Span, Rows]]:
        """Yields the slices in order."""
        for split in self._splits:
            spans = [span for span in self.spans if span.split == split]
            # Undamaged files need no second check.
            data = self._read(split, zoo.Ledger(), grouped=True, verify=self._damaged[split])
            yield from zip(spans, cut(read_rows(data), spans), strict=True)

    def held_out(self) -> Iterator[tuple[str, tf.data.Dataset]]:
        """Yields the name and the batches of valid and test, if they are not part of the pass."""
        known = load_manifest(self._config.data)
        wanted = ("valid", "test") if self._config.evaluate_test else ("valid",)
        for split in wanted:
            if split in known and split not in self._splits:
                yield split, self._read(split, self._ledger)

    def _read(
        self, split: str, ledger: zoo.Ledger, grouped: bool = False, verify: bool = True
    ) -> tf.data.Dataset:
        config, group = self._config, grouped and self._schema.group is not None
        time = grouped and config.needs_time  # not for the splits that are only scored
        if self._memory is not None:
            kept = self._memory.split(split, self._schema, ledger, config.max_lost, group, time)
            if kept is not None:
                return kept.batches(_READ)
        return zoo.read_tfrecords(
            config.data, split, self._schema, batch_size=_READ, ledger=ledger,
            max_lost=config.max_lost, group=group, verify=verify, time=time,
        )  # fmt: skip
