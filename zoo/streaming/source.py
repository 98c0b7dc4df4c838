"""Sources of rows with a position: any iterable, Arrow Flight, and what has the same methods."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from zoo.data.files import DataError

_KEPT = 65_536  # rows that a source without restart can repeat


@runtime_checkable
class StreamSource(Protocol):
    """What `zoo.read_stream` reads rows from.

    A position is any value that JSON can represent. It is that of the next row, so that a source
    that is set to it continues without losing or repeating a row.
    """

    def __iter__(self) -> Iterator[Any]:
        """Yields rows from the current position on: dicts by column, or `pyarrow.RecordBatch`es."""

    def position(self) -> Any:
        """Returns the position after all rows that were yielded."""

    def seek(self, position: Any) -> None:
        """Continues at a position, which `position` of this or an earlier process returned."""


class IterableSource:
    """Rows of any Python iterable; the position is the number of items that were yielded.

    An iterable that begins again, such as a list, can be set to any position. An iterator, such as
    a generator, can go back by `kept` items. In a new process, the iterable must yield the same
    items again; those before the position are skipped.

    Args:
        rows: iterable of dicts or of `pyarrow.RecordBatch`es.
        kept: int, not negative, number of items of an iterator that can be repeated. Defaults to
            65,536.

    Raises:
        ValueError: if `kept` is negative.

    Example:
        >>> source = IterableSource([{"user": "ann"}, {"user": "bob"}])
        >>> rows = iter(source)
        >>> next(rows), source.position()
        ({'user': 'ann'}, 1)
    """

    def __init__(self, rows: Iterable[Any], kept: int = _KEPT):
        if isinstance(kept, bool) or not isinstance(kept, int) or kept < 0:
            raise ValueError(f"`kept` must be an integer >= 0. Received: {kept!r}")
        self._rows, self._left = rows, iter(rows)
        self._once = self._left is rows
        self._before: collections.deque[Any] = collections.deque(maxlen=kept if self._once else 0)
        self._again: collections.deque[Any] = collections.deque()
        self._position = 0

    def __iter__(self) -> Iterator[Any]:
        while True:
            if self._again:
                item = self._again.popleft()
            else:
                try:
                    item = next(self._left)
                except StopIteration:
                    return
            self._before.append(item)
            self._position += 1
            yield item

    def position(self) -> int:
        """Returns the number of items that were yielded."""
        return self._position

    def seek(self, position: int) -> None:
        """Continues after a number of items.

        Args:
            position: int, number of items from the beginning.

        Raises:
            DataError: if an iterator cannot go back that far, or has fewer items.
        """
        back = self._position - position
        if back < 0:
            skipped = sum(1 for _ in itertools.islice(iter(self), -back))
            if skipped < -back:
                raise DataError(
                    f"the position is {position:,}, and the rows end after {self._position:,}; "
                    "pass the rows of the first run"
                )
        elif back and not self._once:
            self._left, self._position = iter(self._rows), 0
            self.seek(position)
        elif back > len(self._before):
            raise DataError(
                f"the iterator cannot go back by {back:,} items, only by {len(self._before):,}; "
                "pass an iterable that can begin again, or raise `kept`"
            )
        else:
            for _ in range(back):
                self._again.appendleft(self._before.pop())
            self._position = position


class FlightSource:
    """The record batches of an Arrow Flight stream; the position is the number of rows.

    Args:
        client: `pyarrow.flight.FlightClient`, connected to the server.
        ticket: `pyarrow.flight.Ticket` of the stream, or a function that returns the ticket of the
            stream from a row on. With a fixed ticket, the rows before a position are read again
            and skipped.
        options: `pyarrow.flight.FlightCallOptions`, such as a time-out. Defaults to `None`.

    Example:
        >>> client = pyarrow.flight.connect("grpc://localhost:8815")  # doctest: +SKIP
        >>> FlightSource(client, pyarrow.flight.Ticket(b"clicks"))  # doctest: +SKIP
    """

    def __init__(self, client: Any, ticket: Any | Callable[[int], Any], options: Any = None):
        self._client, self._ticket, self._options = client, ticket, options
        self._position = 0

    def __iter__(self) -> Iterator[Any]:
        start = self._position
        from_row = callable(self._ticket)
        ticket = self._ticket(start) if from_row else self._ticket
        skipped = 0 if from_row else start
        reader = self._client.do_get(ticket, self._options)
        for chunk in reader:
            batch = chunk.data
            if skipped >= batch.num_rows:
                skipped -= batch.num_rows
                continue
            batch, skipped = batch.slice(skipped), 0
            self._position += batch.num_rows
            yield batch
        if skipped:
            raise DataError(
                f"the position is {start:,}, and the stream ends {skipped:,} rows before; pass the "
                "ticket of the first run"
            )

    def position(self) -> int:
        """Returns the number of rows that were yielded."""
        return self._position

    def seek(self, position: int) -> None:
        """Continues at a row; the stream is requested again.

        Args:
            position: int, number of rows from the beginning.
        """
        self._position = position


def as_source(rows: StreamSource | Iterable[Mapping[str, Any]]) -> StreamSource:
    """Returns a source; an iterable without positions becomes an `IterableSource`.

    Raises:
        ValueError: if it is neither a source nor an iterable.

    Example:
        >>> as_source([{"user": "ann"}]).position()
        0
    """
    if isinstance(rows, StreamSource):
        return rows
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | Mapping):
        return IterableSource(rows)
    raise ValueError(
        "the source must be an iterable of rows, or have the methods of `StreamSource`. Received: "
        f"{type(rows).__name__}"
    )
