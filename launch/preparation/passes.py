"""The two passes over a data set: the first counts, the second encodes and writes."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from launch.datasets.raw import RawData, RowAccount, describe_damage
from launch.preparation.counting import TrainingCounts
from launch.preparation.damaged_lines import damaged_lines
from launch.preparation.encoding import RowEncoder
from launch.preparation.extending import Earlier
from launch.preparation.rows import prefetched, sliced_rows
from launch.preparation.runs import CHUNK, RunFiles
from launch.preparation.values import row_encoder
from launch.preparation.workspace import Workspace
from launch.raw.files import RawFile
from zoo.data.files import DataError
from zoo.data.progress import ProgressBar
from zoo.data.record_layout import DEFAULT_LAYOUT
from zoo.data.schema import Schema
from zoo.data.shard_writer import Shard, shard_bounds, write_shards
from zoo.data.vocabulary import check_file_names, write_vocabulary

_SOME = 0.01  # share of damaged rows above which a systematic error is likely
_MOST = 0.5  # share above which a higher --max_lost is not suggested
_FEW_ROWS = 100  # with fewer rows, a split of 10 % may be empty by chance


@dataclass
class Counted:
    """The row counts of the first pass.

    Args:
        rows: dict from split to its number of valid rows.
        damaged: dict from reason to the number of rows that could not be read.
        left_out: dict from reason to the number of rows that the data set's rules leave out.
        lines: list of strings, the lines of the first damaged rows, if the files have lines.
        examples: dict from reason to the first place where it occurred.
        parts: list of the number of the first row, and of the rows by split, of each part of the
            data set; empty if it was not divided.
        times: list of floats, the times that divide the rows among splits, if Beam has found them.

    Example:
        >>> Counted({"train": 8}, {"wrong number of columns": 2}, {}).share_lost
        0.2
    """

    rows: dict[str, int]
    damaged: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)
    parts: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    times: list[float] | None = None

    @property
    def share_lost(self) -> float:
        """Damaged rows as a share of all rows."""
        lost = sum(self.damaged.values())
        return lost / max(1, lost + sum(self.rows.values()) + sum(self.left_out.values()))


@dataclass(frozen=True)
class Files:
    """How record files are written.

    Args:
        shards: int, number of files per split, at least 1. Defaults to 1.
        compression: `None` or "GZIP". Defaults to `None`.
        layout: "blocks", "packed" or "columns". Defaults to "blocks".

    Example:
        >>> Files(shards=4).layout
        'blocks'
    """

    shards: int = 1
    compression: str | None = None
    layout: str = DEFAULT_LAYOUT


def count_pass(
    raw: RawData, work: Workspace, max_lost: float, memory: int, earlier: Earlier | None = None
) -> Counted:
    """Reads all rows once, and writes the schema and the vocabularies to the workspace.

    Args:
        raw: `RawData`, the data set.
        work: `Workspace`; if it contains a finished first pass, that one is used.
        max_lost: float, maximum share of damaged rows, in [0, 1].
        memory: int, bytes that the distinct values may take; more are sorted on disk.
        earlier: `Earlier`, whose ids and statistics are kept. Defaults to `None`.

    Returns:
        `Counted`, the numbers of rows.

    Raises:
        DataError: if too many rows are damaged, or a split has no rows.
    """
    if work.counted is not None:
        found = Counted(**work.counted)
        check_counted(raw, found, max_lost)  # `max_lost` may be lower than before
        return found
    check_file_names(work.path, raw.schema)
    account, rows = RowAccount(), Counter()
    with work.scratch() as folder:
        counts = TrainingCounts(raw.schema, memory, RunFiles(folder), earlier)
        size = sum(RawFile(path).size for path in raw.files) or None
        with ProgressBar("counting", size, "B") as bar:
            for split, part in prefetched(sliced_rows(raw, account)):
                if split == "train":
                    counts.add(part)
                rows[split] += part.height
                bar.move_to(account.bytes_read, rows=f"{sum(rows.values()):,}")
        found = counted_rows(rows, account)
        if found.damaged:
            found.lines = damaged_lines(raw.files, raw.schema, raw.separator)
        check_counted(raw, found, max_lost)
        schema = counts.finish(lambda name, values: write_values(work.path, name, values))
    schema.save(work.path)
    work.counted = vars(found)
    return found


def counted_rows(rows: Mapping[str, int], account: RowAccount) -> Counted:
    """Returns the row counts of a pass.

    Args:
        rows: dict from split to its number of valid rows.
        account: `RowAccount` of the pass.

    Example:
        >>> counted_rows({"train": 8}, RowAccount()).rows
        {'train': 8}
    """
    # Sorted, because threads that read ahead find damage in any order.
    damaged, left_out = _positive(account.damaged), _positive(account.left_out)
    return Counted(dict(rows), damaged, left_out, [], account.examples)


def write_values(directory: str, field: str, values: Iterable[pl.DataFrame]) -> None:
    """Writes the vocabulary of a field.

    Args:
        directory: string, the data folder.
        field: string, name of the field.
        values: polars `DataFrame`s with its values by id and their counts.

    Example:
        >>> import tempfile
        >>> table = pl.DataFrame({"value": ["<oov>", "ann"], "count": [0, 3]})
        >>> write_values(tempfile.mkdtemp(), "user", [table])
    """
    parts = (part for table in values for part in table.iter_slices(CHUNK))
    write_vocabulary(
        directory, field, ((part["value"].to_list(), part["count"].to_numpy()) for part in parts)
    )


def write_pass(
    raw: RawData, counted: Counted, work: Workspace, files: Files, memory: int
) -> tuple[dict[str, list[Shard]], Counter[str]]:
    """Reads all rows again, encodes them, and writes the record files that are still missing.

    Args:
        raw: `RawData`, the data set.
        counted: `Counted`, the result of the first pass.
        work: `Workspace` with schema and vocabularies.
        files: `Files`, how to write the record files.
        memory: int, bytes that the vocabularies may take; larger ones stay on disk.

    Returns:
        Dict from split to its record files, and a `Counter` of changed values by reason.

    Raises:
        DataError: if the rows differ from those of the first pass.
    """
    schema = Schema.load(work.path)
    with work.scratch() as folder:
        encoder = row_encoder(work.path, schema, RunFiles(folder), memory)
        _write(raw, counted, work, files, schema, encoder)
    return {split: work.shards(split) for split in counted.rows}, encoder.changed


def _write(
    raw: RawData,
    counted: Counted,
    work: Workspace,
    files: Files,
    schema: Schema,
    encoder: RowEncoder,
) -> None:
    with ThreadPoolExecutor(len(counted.rows)) as pool:
        writers = {
            split: _SplitWriter(pool, work, schema, split, rows, files)
            for split, rows in counted.rows.items()
        }
        try:
            with ProgressBar("writing", sum(counted.rows.values())) as bar:
                for split, part in prefetched(sliced_rows(raw, RowAccount())):
                    if split not in writers:
                        raise DataError(
                            f"split {split!r} had no rows in the first pass, so the files have "
                            "changed; run the command again"
                        )
                    writers[split].put(encoder.encode(part))
                    bar.update(part.height)
            for writer in writers.values():
                writer.close()
        except BaseException:
            for writer in writers.values():
                writer.give_up()
            raise


class _SplitWriter:
    """Writes the files of one split in its own thread; rows written before are skipped."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        work: Workspace,
        schema: Schema,
        split: str,
        rows: int,
        files: Files,
    ):
        bounds = shard_bounds(rows, files.shards)
        first = len(work.shards(split))
        self._skip = bounds[first][0] if first < len(bounds) else rows
        self._batches: queue.Queue = queue.Queue(1)

        def write() -> None:
            shards = write_shards(
                work.path, schema, split, self._taken(), bounds, files.layout,
                files.compression, first,
            )  # fmt: skip
            for shard in shards:
                work.add_shard(split, shard)

        self._done: Future = pool.submit(write)

    def put(self, batch: Mapping[str, np.ndarray]) -> None:
        """Passes rows to the thread; raises its error, if any."""
        rows = len(batch["label"])
        skipped = min(rows, self._skip)
        self._skip -= skipped
        if skipped < rows:
            self._put({key: values[skipped:] for key, values in batch.items()})

    def close(self) -> None:
        """Waits until all rows are written."""
        self._put(None)
        self._done.result()

    def give_up(self) -> None:
        """Ends the thread without finishing its file."""
        while not self._done.done():
            try:
                self._batches.put(InterruptedError("another part failed"), timeout=0.1)
            except queue.Full:
                continue
            return

    def _put(self, item: Any) -> None:
        while True:
            if self._done.done():
                return self._done.result()
            try:
                return self._batches.put(item, timeout=0.1)
            except queue.Full:
                continue

    def _taken(self) -> Iterator[Mapping[str, np.ndarray]]:
        while (item := self._batches.get()) is not None:
            if isinstance(item, InterruptedError):
                raise item
            yield item


def check_counted(raw: RawData, found: Counted, max_lost: float) -> None:
    """Raises if a preparation cannot go on.

    Args:
        raw: `RawData`, the data set.
        found: `Counted`, the numbers of rows.
        max_lost: float, maximum share of damaged rows, in [0, 1].

    Raises:
        DataError: if too many rows are damaged, or a split has no rows.

    Example:
        >>> check_counted(raw, Counted({"train": 8}), 0.1)  # doctest: +SKIP
    """
    name = raw.schema.name
    reasons = describe_damage(found.damaged, found.examples)
    usable = sum(found.rows.values())
    if found.share_lost > max_lost:
        raise DataError(
            f"data set {name!r}: {found.share_lost:.4%} of the rows are damaged ({reasons}"
            f"{_first(found)}), at most {max_lost:.4%} are allowed; {_advice(raw.schema, found)}"
        )
    empty = [split for split in ("train", *raw.splits) if not found.rows.get(split)]
    if empty:
        counts = ", ".join(f"{split} {found.rows.get(split, 0):,}" for split in raw.splits)
        lost = f"; not usable: {reasons}" if reasons else ""
        left_out = sum(found.left_out.values())
        lost += f"; left out: {left_out:,}" if left_out else ""
        if not usable:
            what = "the files contain no rows" if not reasons else "fix the damaged rows"
        elif usable < _FEW_ROWS:
            what = (
                "with so few rows, use larger shares such as --split=0.5,0.25,0.25, fewer splits "
                "such as --split=0.8,0.2, or another --seed"
            )
        else:
            what = f"name files with rows for {empty[0]}"
        raise DataError(
            f"data set {name!r} has no usable {empty[0]} rows (usable rows: {counts}{lost}); {what}"
        )


def _first(found: Counted) -> str:
    return f"; the first: {found.lines[0]}" if found.lines else ""


def _advice(schema: Schema, found: Counted) -> str:
    """Returns advice for the most frequent reason of damaged rows."""
    go_on = "raise --max_lost to skip these rows"
    if found.share_lost < _SOME:
        return f"correct them, or {go_on}"
    worst = max(found.damaged, key=lambda reason: found.damaged[reason])
    known = {
        f"{schema.label} is": f"is {schema.label!r} the label? The schema names it; its values "
        "must be numbers from 0 to 1, or true and false.",
        f"{schema.weight} is": f"is {schema.weight!r} the weight? The schema names it; its values "
        "must be numbers of at least 0.",
        "no time": f"is {schema.time!r} the time? The schema names it; its values must be numbers "
        "or ISO dates such as 2024-01-31 23:59:00. Otherwise use --split_by=random.",
        "wrong number": "does the separator match the file name (.csv: comma, .tsv and .txt: tab), "
        "and are values that contain it in quotes?",
        "invalid UTF-8": "are the files in another encoding? iconv -f LATIN1 -t UTF-8 FILE > NEW "
        "converts Latin-1 to UTF-8.",
    }
    fitting = [text for start, text in known.items() if worst.startswith(start)]
    text = fitting[0] if fitting else "are these the files of this data set?"
    return f"{text} If all is correct, {go_on}" if found.share_lost < _MOST else text


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(counts.items()) if count}
