"""Creates rows from Amazon's reviews: a user's past items, and a candidate item.

As in DIN (Zhou et al. 2018), every review except a user's first is a positive row, whose history is
the items that the user reviewed before. For each positive there is one negative row, whose item is
drawn uniformly from those that the user never reviewed. The last review of each user is for
testing.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

from launch.datasets.negatives import sample_outside
from launch.datasets.raw import RowAccount, Rows
from launch.raw.files import RawFile
from zoo.data.files import DataError
from zoo.data.progress import ProgressBar

_CHUNK = 1 << 22  # bytes read at a time
_ROWS = 1 << 15  # rows per table
_ASIN = re.compile(rb"""['"]asin['"]\s*:\s*['"]([^'"]+)['"]""")


def review_splits(reviews: str, meta: str, length: int, seed: int) -> dict[str, Rows]:
    """Creates the train and test splits from the files of reviews and items.

    Malformed lines are counted as damaged, reviews of items without a category as left out.

    Args:
        reviews: string, file of JSON lines with `reviewerID`, `asin` and `unixReviewTime`; may be
            compressed.
        meta: string, file of lines with `asin` and `categories`, as JSON or, as published, Python
            literals.
        length: int, maximum number of items in a history; the newest are kept.
        seed: int, seed of the negatives and of the order of the rows.

    Returns:
        Dict from split to rows, with label, user_id, item_id, cate_id, item_history, cate_history
        and time.

    Raises:
        DataError: if a file is missing or unreadable, or there are no rows.

    Example:
        >>> review_splits("reviews.json.gz", "meta.json.gz", 100, seed=0)  # doctest: +SKIP
        {'train': ..., 'test': ...}
    """
    met = RowAccount()
    table = _reviews(reviews, met)
    categories = _categories(meta, set(table["item"].unique()), met)
    known = table.join(categories, on="item", how="inner", maintain_order="left")
    if known.height < table.height:
        met.left_out["review of an item without a category"] += table.height - known.height
    # Reviews of equal time keep the order of the file; the published order of these is arbitrary.
    known = known.with_row_index().sort("user", "time", "index")
    if not known["user"].is_duplicated().any():
        raise DataError(
            f"no user in {reviews} reviewed two items of {meta}; name files of the same data set"
        )
    return _Sequences(known, length, seed, met).splits()


class _Sequences:
    """All reviews, sorted by user and time; rows are created while they are read."""

    def __init__(self, table: pl.DataFrame, length: int, seed: int, met: RowAccount):
        self._length, self._met = length, met
        self._random = np.random.default_rng(seed)
        items = table.select("item", "category").unique("item").sort("item")
        self._names, self._categories = items["item"], items["category"]
        self._users, self._times = table["user"], table["time"]
        self._item = self._names.search_sorted(table["item"]).to_numpy().astype(np.int64)
        owner = (table["user"].rank("dense") - 1).to_numpy().astype(np.int64)
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        self._first = first[owner]
        self._last = np.r_[first[1:], len(owner)][owner] - 1
        self._owner = owner
        self._known = np.unique(owner * len(items) + self._item)

    def splits(self) -> dict[str, Rows]:
        """Returns train, without each user's first and last review, and test, the last reviews."""
        place = np.arange(len(self._owner))
        later = place > self._first
        train = self._part(place[later & (place < self._last)], self._met)
        return {"train": train, "test": self._part(place[later & (place == self._last)], None)}

    def _part(self, reviews: np.ndarray, met: RowAccount | None) -> Rows:
        """Returns a positive and a negative row per review, in random order."""
        items = len(self._names)
        drawn = sample_outside(self._owner[reviews], self._known, items, self._random)
        order = self._random.permutation(2 * len(reviews))
        place = np.concatenate([reviews, reviews])[order]
        item = np.concatenate([self._item[reviews], drawn])[order].astype(np.int32)
        label = np.repeat(np.array([1, 0], np.int8), len(reviews))[order]

        def rows(account: RowAccount) -> Iterator[pl.DataFrame]:
            if met is not None:
                account.damaged.update(met.damaged)
                account.left_out.update(met.left_out)
            for start in range(0, len(order), _ROWS):
                part = slice(start, start + _ROWS)
                yield self._table(label[part], place[part], item[part])

        return rows

    def _table(self, label: np.ndarray, place: np.ndarray, item: np.ndarray) -> pl.DataFrame:
        lengths = np.minimum(place - self._first[place], self._length)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        past = self._item[np.repeat(place - lengths, lengths) + inside]
        return pl.DataFrame(
            {
                "label": label,
                "user_id": self._users.gather(place),
                "item_id": self._names.gather(item),
                "cate_id": self._categories.gather(item),
                "item_history": _lists(self._names.gather(past), offsets),
                "cate_history": _lists(self._categories.gather(past), offsets),
                "time": self._times.gather(place),
            }
        )


def _lists(values: pl.Series, offsets: np.ndarray) -> pl.Series:
    arrays = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values.to_arrow())
    return pl.Series(arrays)


def _reviews(path: str, met: RowAccount) -> pl.DataFrame:
    found: tuple[list, ...] = ([], [], [])
    for line in _lines(path):
        try:
            review = json.loads(line)
            values = str(review["reviewerID"]), str(review["asin"]), int(review["unixReviewTime"])
        # Invalid UTF-8 is a ValueError.
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            met.damaged["malformed review"] += 1
            continue
        for column, value in zip(found, values, strict=True):
            column.append(value)
    if not found[0]:
        raise DataError(f"{path} holds no reviews; name JSON lines with reviewerID and asin")
    return pl.DataFrame(dict(zip(("user", "item", "time"), found, strict=True)))


def _categories(path: str, wanted: set[str], met: RowAccount) -> pl.DataFrame:
    """Returns the last (finest) category of each wanted item."""
    found: dict[str, str] = {}
    for line in _lines(path):
        asin = _ASIN.search(line)
        name = asin[1].decode("utf-8", "replace") if asin else None
        if name is not None and (name not in wanted or name in found):
            continue  # not parsed, which would take minutes
        try:
            found[name] = str(_literal(line)["categories"][-1][-1])
        except (ValueError, SyntaxError, KeyError, TypeError, IndexError, RecursionError):
            met.damaged["malformed item"] += 1
    return pl.DataFrame(
        {"item": list(found), "category": list(found.values())},
        schema={"item": pl.String, "category": pl.String},
    )


def _literal(line: bytes) -> dict:
    try:
        return json.loads(line)
    except ValueError:
        return ast.literal_eval(line.decode())


def _lines(path: str) -> Iterator[bytes]:
    """Yields the lines of a file that are not blank."""
    rest = b""
    file = RawFile(path)
    bar = ProgressBar(path, file.size, "B")
    try:
        with file, bar:
            while chunk := file.stream.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line for line in lines if line.strip())
                bar.move_to(file.position())
    except (OSError, EOFError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if rest.strip():
        yield rest
