"""`zoo.read_stream`: rows of a source as batches, with a position that a checkpoint holds."""

from __future__ import annotations

import collections
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from zoo.data.files import DataError
from zoo.data.ledger import MAX_LOST
from zoo.data.schema import Schema
from zoo.serving.encoding import encoded_columns, lookup_table
from zoo.streaming.rows import Part, RowReader
from zoo.streaming.source import StreamSource, as_source

_SHOWN = 20  # damaged rows that are named
_LEAST = 10_000  # rows, of which `max_lost` is a share at the beginning of a stream


class Stream:
    """The rows of a source, and how far they are trained.

    Attributes:
        read: int, rows that were put into batches, with those that are read ahead.
        lost: int, damaged rows.
        damages: list of strings, the first 20 damaged rows: their number and the reason.
    """

    def __init__(
        self,
        source: StreamSource,
        schema: Schema,
        batch_size: int,
        drop_remainder: bool,
        max_lost: float,
    ):
        self._source, self._schema = source, schema
        self._batch_size, self._drop = batch_size, drop_remainder
        self._max_lost = max_lost
        self._reader = RowReader(schema)
        self._lock = threading.Lock()
        self._iteration, self._ended = 0, False
        self._trained: dict[str, Any] = {
            "position": source.position(), "skip": 0, "read": 0, "lost": 0,
        }  # fmt: skip
        self._ahead: collections.deque[dict[str, Any]] = collections.deque()
        self.read = self.lost = 0
        self.damages: list[str] = []

    def state(self) -> dict[str, Any]:
        """Returns the position after the last batch that was trained, for a checkpoint."""
        with self._lock:
            return dict(self._trained)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues at a position, also that of an earlier process.

        Args:
            state: dict, the result of `state`.
        """
        with self._lock:
            self._trained = {name: state[name] for name in self._trained}
            self._ahead.clear()
            self._iteration += 1  # ends an iteration that reads ahead

    def advance(self, batches: int) -> None:
        """Says that the next batches were trained; those that were read ahead do not count.

        Args:
            batches: int, number of batches.

        Raises:
            ValueError: if fewer batches were read.
        """
        with self._lock:
            if self._ended:  # the last of several steps at once may lack batches
                batches = min(batches, len(self._ahead))
            if batches > len(self._ahead):
                raise ValueError(
                    f"{batches} batches were trained, and {len(self._ahead)} were read; iterate "
                    "over the dataset once at a time"
                )
            for _ in range(batches):
                self._trained = self._ahead.popleft()

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Yields raw batches from the last trained position on."""
        with self._lock:
            self._iteration += 1
            mine, start = self._iteration, self._trained
            self._ahead.clear()
            self._ended = False
            self._source.seek(start["position"])
            self.read, self.lost = start["read"], start["lost"]
        parts: collections.deque[tuple[Part, int]] = collections.deque()  # part, rows used
        ready = 0
        for part in self._parts(mine, start["skip"]):
            parts.append((part, 0))
            ready += len(part.numbers)
            while ready >= self._batch_size:
                yield self._batch(parts, self._batch_size, mine)
                ready -= self._batch_size
        if ready and not self._drop:
            yield self._batch(parts, ready, mine)
        with self._lock:
            self._ended |= mine == self._iteration

    def _batch(
        self, parts: collections.deque[tuple[Part, int]], rows: int, mine: int
    ) -> dict[str, np.ndarray]:
        """Takes rows off the parts, and notes the state after them."""
        pieces, missing, state = [], rows, None
        while missing:
            part, used = parts.popleft()
            count = min(missing, len(part.numbers) - used)
            pieces.append({k: v[used : used + count] for k, v in part.columns.items()})
            missing -= count
            used += count
            if used < len(part.numbers):
                parts.appendleft((part, used))
            if count:
                state = _state(part, used)
        assert state is not None
        with self._lock:
            if mine == self._iteration:
                self.read += rows
                self._ahead.append({**state, "read": self.read})
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _parts(self, mine: int, skip: int) -> Iterator[Part]:
        """Yields the rows of the source in parts, without damaged ones."""
        items = iter(self._source)
        while True:
            with self._lock:  # an iteration that is over must not move the source
                if mine != self._iteration:
                    return
                part = self._next(items, skip)
            if part is None:
                return
            skip = 0
            self._count(part)
            yield part

    def _next(self, items: Iterator[Any], skip: int) -> Part | None:
        before = self._source.position()
        first = next(items, None)
        if first is None:
            return None
        if hasattr(first, "schema"):
            after, total = None, first.num_rows
            columns, damages = self._reader.read(first)
        else:
            rows, after = [first], [self._source.position()]
            for row in itertools.islice(items, self._batch_size - 1):
                if hasattr(row, "schema"):
                    raise DataError(
                        "a source yields dicts and record batches; yield one kind of rows"
                    )
                rows.append(row)
                after.append(self._source.position())
            total = len(rows)
            columns, damages = self._reader.read(rows)
        damages = {row: reason for row, reason in damages.items() if row >= skip}
        kept = np.array([row for row in range(skip, total) if row not in damages], np.int64)
        columns = {name: values[kept] for name, values in columns.items()}
        return Part(columns, kept, after, before, self._source.position(), damages, self.lost)

    def _count(self, part: Part) -> None:
        for row, reason in sorted(part.damages.items()):
            self.lost += 1
            if len(self.damages) < _SHOWN:
                place = part.before if part.after is None else part.after[row]
                what = f"row {row} after position" if part.after is None else "row before position"
                self.damages.append(f"{what} {place}: {reason}")
                logging.warning("a row of the stream is left out: %s", self.damages[-1])
        seen = max(_LEAST, self.read + self.lost)
        if self.lost > self._max_lost * seen:
            raise DataError(
                f"{self.lost:,} of {self.read + self.lost:,} rows of the stream are damaged, "
                f"allowed is max_lost={self._max_lost:.2g} of at least {_LEAST:,}: "
                f"{'; '.join(self.damages[:3])}. Correct the source, or raise max_lost"
            )


def _state(part: Part, used: int) -> dict[str, Any]:
    """Returns the state after some rows of a part; after the last one, the damaged ones follow."""
    if used == len(part.numbers):
        return {"position": part.end, "skip": 0, "lost": part.lost + len(part.damages)}
    last = int(part.numbers[used - 1])
    lost = part.lost + sum(row < last for row in part.damages)
    if part.after is not None:
        return {"position": part.after[last], "skip": 0, "lost": lost}
    return {"position": part.before, "skip": last + 1, "lost": lost}


def read_stream(
    source: StreamSource | Iterable[Mapping[str, Any]],
    data: str | os.PathLike[str],
    schema: Schema | None = None,
    batch_size: int = 1024,
    drop_remainder: bool = False,
    max_lost: float = MAX_LOST,
) -> tf.data.Dataset:
    """Reads raw rows of a stream as batches, encoded by a schema, for online training.

    Rows are encoded in the graph, by the same operations as in a served model, with the
    vocabularies of a prepared folder; values without an id are id 0. Rows that have no label, a
    label outside 0 to 1, or a value that is not text or a number are left out, counted and named.

    The dataset has the attribute `stream`, a `Stream`. With
    `tf_helen.callbacks.ExactResume(directory, stream=dataset.stream)`, a checkpoint holds the
    position of the source after the last batch that was trained, and a resumed training continues
    there: no row is lost or repeated, also of those that were read ahead.

    Args:
        source: iterable of dicts by column or of `pyarrow.RecordBatch`es, or a source with a
            position, see `zoo.StreamSource`.
        data: folder with the vocabularies and, by default, the schema.
        schema: `Schema` of the rows. Defaults to None: the folder's.
        batch_size: rows per batch. Defaults to 1024.
        drop_remainder: drops a last, smaller batch. Defaults to False.
        max_lost: share of the rows that may be damaged, from 0 to 1; of the first 10,000 rows, that
            share of 10,000. Defaults to 1e-4.

    Returns:
        A dataset with the elements of `zoo.read_tfrecords`: `({"ids": int32 [B, W], "numeric":
        float32 [B, N]}, label float32 [B, 1])`, and the weight, if the schema has one. Its rows are
        in the order of the source. Each iteration begins after the last batch that was trained.

    Raises:
        DataError: if an argument is out of range, or a vocabulary is missing.
        ValueError: if `source` is not a source.

    Example:
        >>> clicks = [{"user": "ann", "item": "i3", "label": 1}]
        >>> data = read_stream(clicks, "data/clicks", batch_size=512)  # doctest: +SKIP
        >>> model.fit(data)  # doctest: +SKIP
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise DataError(f"batch_size={batch_size!r}; use a positive integer")
    if not 0 <= max_lost <= 1:
        raise DataError(f"max_lost={max_lost!r}; use a share from 0 to 1")
    schema = Schema.load(data) if schema is None else schema
    tables = {field.name: lookup_table(data, field) for field in schema.categorical}
    stream = Stream(as_source(source), schema, batch_size, drop_remainder, max_lost)
    targets = [schema.label, *([schema.weight] if schema.weight is not None else [])]
    specs = {field.name: tf.TensorSpec([None], tf.string) for field in schema.categorical}
    plain = [column.name for column in schema.numeric] + targets
    specs |= {name: tf.TensorSpec([None], tf.float32) for name in plain}

    def parse(raw: dict[str, tf.Tensor]) -> tuple:
        return (encoded_columns(schema, raw, tables), *(raw[name][:, None] for name in targets))

    batches = tf.data.Dataset.from_generator(stream.batches, output_signature=specs)
    # The position is saved by `Stream.state`.
    options = tf.data.Options()
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    policies = tf.data.experimental.AutoShardPolicy
    options.experimental_distribute.auto_shard_policy = policies.OFF
    result = batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    result = result.with_options(options)
    result.stream = stream
    return result
