"""Scores a day with the model of an earlier day, before the day is trained.

The day is scored as the export of the earlier day would score it: values that the vocabulary of
that day does not contain have id 0.
"""

from __future__ import annotations

import numpy as np

import zoo
from launch.run.earlier_run import EarlierRun, FieldRows, field_rows
from launch.run.evaluation import DivergedError, Predictor
from launch.run.files import load_best
from launch.run.seen_ids import EDGES
from launch.run.slices import features_of, read_rows
from zoo.data.manifest import load_manifest
from zoo.data.vocabulary import load_vocabulary

Arrays = dict[str, np.ndarray]
_SPLITS = ("train", "valid", "test")
_ROWS = 4096  # scored at once


def score_day(
    earlier: EarlierRun, data: str, schema: zoo.Schema, ledger: zoo.Ledger, max_lost: float
) -> Arrays:
    """Predicts all rows of a day with the best model of an earlier run.

    Args:
        earlier: `EarlierRun`.
        data: string, prepared data folder of the day.
        schema: `zoo.Schema` of the day.
        ledger: `zoo.Ledger` that receives the counts of damaged records.
        max_lost: float, maximum share of damaged records per split.

    Returns:
        Dict of arrays `[n]`: "logit", "label", "split" (place among train, valid, test), "bucket"
        (place in `launch.run.seen_ids.EDGES` of the count of the rarest id of a row in the earlier
        vocabulary) and, if the rows have them, "weight" and "group".

    Raises:
        DataError: if the columns do not fit those of the run, or records are damaged.
        DivergedError: if a prediction is not finite.

    Example:
        >>> score_day(earlier, "data/tuesday", schema, zoo.Ledger(), 1e-4)  # doctest: +SKIP
    """
    fields = field_rows(earlier, data, schema)
    translate = Translation(schema, fields)
    counts = _Counts(earlier, schema)
    model = load_best(earlier.folder)
    predict = Predictor(model)
    found: dict[str, list[np.ndarray]] = {}
    present = load_manifest(data)
    for place, split in enumerate(_SPLITS):
        if split not in present and (present or split != "train"):
            continue
        rows = zoo.read_tfrecords(
            data, split, schema, batch_size=_ROWS, ledger=ledger, max_lost=max_lost,
            group=schema.group is not None,
        )  # fmt: skip
        for batch in read_rows(rows):
            kept = {n: batch[n][:, 0] for n in ("label", "weight", "group") if n in batch}
            if "ids" in batch:
                batch = {**batch, "ids": translate(batch["ids"])}
                kept["bucket"] = counts.buckets(batch["ids"])
            kept["logit"] = predict(features_of(batch), _ROWS)
            kept["split"] = np.full(len(kept["label"]), place, np.int8)
            for name, values in kept.items():
                found.setdefault(name, []).append(values)
    scores = {name: np.concatenate(parts) for name, parts in found.items()}
    if not np.isfinite(scores["logit"]).all():
        raise DivergedError(f"the model of {earlier.folder} predicts numbers that are not finite")
    return scores


class Translation:
    """Replaces the ids of a day by those of an earlier vocabulary; new values have id 0.

    Args:
        schema: `zoo.Schema` of the day.
        fields: dict from field to `FieldRows`.

    Example:
        >>> schema = zoo.Schema("s", [zoo.Categorical("user", 3)])
        >>> rows = FieldRows(np.array([0, 2, -1]), 3)  # of the earlier ids 0, 1 and 2
        >>> Translation(schema, {"user": rows})(np.array([[0], [1], [2]])).ravel().tolist()
        [0, 0, 1]
    """

    def __init__(self, schema: zoo.Schema, fields: dict[str, FieldRows]):
        known = {name: field.earlier() for name, field in fields.items()}
        self._columns = [
            known[field.shares or field.name]
            for field in schema.categorical
            for _ in range(field.length)
        ]

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """Returns the earlier ids, int32 `[n, W]`, padded with -1 as before."""
        columns = [
            np.where(ids[:, i] < 0, -1, earlier[np.maximum(ids[:, i], 0)])
            for i, earlier in enumerate(self._columns)
        ]
        return np.stack(columns, axis=1).astype(np.int32)


class _Counts:
    """The counts of an earlier vocabulary; id 0 counts as not seen, as its values are unknown."""

    def __init__(self, earlier: EarlierRun, schema: zoo.Schema):
        by_field = {}
        for field in earlier.schema.categorical:
            if field.shares is None:
                counts = load_vocabulary(earlier.data, field.name)[1].copy()
                counts[0] = 0
                by_field[field.name] = counts
        self._columns = [
            by_field[field.shares or field.name]
            for field in schema.categorical
            for _ in range(field.length)
        ]

    def buckets(self, ids: np.ndarray) -> np.ndarray:
        """Returns the bucket of each row by its rarest id, int8 `[n]`."""
        rarest = np.full(len(ids), np.iinfo(np.int64).max)
        for i, counts in enumerate(self._columns):
            seen = counts[np.maximum(ids[:, i], 0)]
            rarest = np.minimum(rarest, np.where(ids[:, i] < 0, rarest, seen))
        return (np.searchsorted(EDGES, rarest, side="right") - 1).astype(np.int8)
