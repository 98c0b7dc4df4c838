"""The results of the days: scores before training, and what was exported."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from launch.run.prequential import grouped_areas
from launch.run.running_scores import RunningScores
from launch.run.seen_ids import bucket_name
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_json, write_bytes, write_json

FILE_NAME = "days.json"
KEPT, DROPPED, DIVERGED = "kept", "not kept: AUC fell", "not kept: diverged"


@dataclasses.dataclass(frozen=True)
class Day:
    """The results of a day.

    Attributes:
        day: int, number from 1.
        data: string, prepared data folder.
        checksum: string, SHA-256 of its checksums.
        scores: dict "rows", "positives", "auc", "logloss" and, if the schema has a group, "gauc",
            over all rows of the day, predicted by the model that was kept before; empty for the
            first day.
        so_far: dict, the same over all days so far, each with the predictions before its training.
        status: "kept", "not kept: AUC fell" or "not kept: diverged".
        reason: string, why the day was not kept; "" if it was.
        earlier: int, the day whose model it began with; 0: none.
        valid_auc: float, AUC of the day's model on the validation split, or `None`.
        valid_auc_before: float, that of the model before, or `None`.
        fields: dict from field to the numbers of ids carried over, fresh and dropped.
        export: string, folder of its export; "" without one.
        delta_bytes: int, size of the delta, or `None`.
        export_bytes: int, size of the export, or `None`.
    """

    day: int
    data: str
    checksum: str
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    so_far: Mapping[str, float] = dataclasses.field(default_factory=dict)
    status: str = KEPT
    reason: str = ""
    earlier: int = 0
    valid_auc: float | None = None
    valid_auc_before: float | None = None
    fields: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)
    export: str = ""
    delta_bytes: int | None = None
    export_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class DaysResult:
    """The results of all days.

    Attributes:
        days: tuple of `Day`.
        buckets: dict from the count of the rarest id of a row in the vocabulary before, such as "0"
            or "2-4", to the scores of these rows.
    """

    days: tuple[Day, ...]
    buckets: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def scores(self) -> dict[str, float]:
        """The scores pooled over all days that were scored; empty if none was."""
        return dict(self.days[-1].so_far) if self.days else {}

    def table(self) -> str:
        """Returns the results as text, one line per day."""
        lines = ["each day is scored before it is trained"]
        lines.append("day      rows      AUC  LogLoss   AUC so far  LogLoss    new ids  result")
        for d in self.days:
            fresh = sum(counts["fresh"] for counts in d.fields.values())
            lines.append(
                f"{d.day:>3}  {d.scores.get('rows', 0):>8,}  {_cell(d.scores, 'auc')}  "
                f"{_cell(d.scores, 'logloss')}      {_cell(d.so_far, 'auc')}  "
                f"{_cell(d.so_far, 'logloss')}  {fresh:>9,}  {d.status}"
            )
        lines += [f"day {d.day} was {d.status}: {d.reason}" for d in self.days if d.reason]
        if self.buckets:
            lines += ["", "rarest id seen     rows      AUC  LogLoss"]
            for name, scores in self.buckets.items():
                lines.append(
                    f"  {name:<14} {scores['rows']:>6,}  {_cell(scores, 'auc')}  "
                    f"{_cell(scores, 'logloss')}"
                )
        return "\n".join(lines)

    def save(self, out: str, settings: Mapping[str, Any]) -> str:
        """Writes `days.json`, completely or not at all.

        Args:
            out: string, folder of the days.
            settings: dict, the settings that a continued training must have too.

        Returns:
            The path of the file.
        """
        path = join(out, FILE_NAME)
        content = {"settings": dict(settings), "scores": self.scores, "buckets": self.buckets}
        write_json(path, {**content, "days": [dataclasses.asdict(day) for day in self.days]})
        return path


def load_result(out: str) -> tuple[DaysResult, dict[str, Any]] | None:
    """Reads `days.json`.

    Args:
        out: string, folder of the days.

    Returns:
        The results and the settings; `None` without the file.

    Raises:
        DataError: if the file is damaged.

    Example:
        >>> load_result("absent") is None
        True
    """
    path = join(out, FILE_NAME)
    if not gfile.exists(path):
        return None
    try:
        content = read_json(path)
        days = tuple(Day(**day) for day in content["days"])
        return DaysResult(days, content["buckets"]), dict(content["settings"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error!r}); start again with --overwrite") from None


def scores_of(arrays: Mapping[str, np.ndarray], chosen: Any = slice(None)) -> dict[str, float]:
    """Computes the scores of predicted rows.

    Args:
        arrays: dict of arrays `[n]`: "logit", "label" and, if known, "weight" and "group".
        chosen: index of the rows. Defaults to all.

    Returns:
        Dict with "rows", "positives", "auc", "logloss", and "gauc" if a group has both labels.

    Example:
        >>> arrays = {"logit": np.array([0.1, 0.9]), "label": np.array([0.0, 1.0])}
        >>> scores_of(arrays)["auc"]
        1.0
    """
    label, logit = arrays["label"][chosen], arrays["logit"][chosen]
    weight = arrays["weight"][chosen] if "weight" in arrays else None
    running = RunningScores()
    running.add(label, logit, weight)
    found = {
        "rows": running.rows,
        "positives": float(label.mean()) if len(label) else 0.0,
        "auc": running.auc,
        "logloss": running.logloss,
    }
    if "group" in arrays:
        denominator, numerator = grouped_areas(label, logit, arrays["group"][chosen])
        if denominator:
            found["gauc"] = float(numerator / denominator)
    return found


def pooled(days: Sequence[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """Returns `scores_of` the rows of several days; groups are compared within days."""
    if not days:
        return {}
    together = {
        name: np.concatenate([day[name] for day in days]) for name in days[0] if name != "group"
    }
    found = scores_of(together)
    if all("group" in day for day in days):
        areas = sum(grouped_areas(day["label"], day["logit"], day["group"]) for day in days)
        if areas[0]:
            found["gauc"] = float(areas[1] / areas[0])
    return found


def by_bucket(days: Iterable[Mapping[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Returns the scores of rows by the count of their rarest id, pooled over days."""
    parts = [day for day in days if "bucket" in day]
    if not parts:
        return {}
    names = [name for name in parts[0] if name not in ("group", "split")]
    rows = {name: np.concatenate([day[name] for day in parts]) for name in names}
    places = np.unique(rows["bucket"])
    return {bucket_name(int(b)): scores_of(rows, rows["bucket"] == b) for b in places}


def save_predictions(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays of a day, completely or not at all."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())


def load_predictions(path: str) -> dict[str, np.ndarray] | None:
    """Reads the arrays of a day; `None` if the file is missing.

    Raises:
        DataError: if it is damaged.
    """
    if not gfile.exists(path):
        return None
    try:
        with gfile.GFile(path, "rb") as file, np.load(io.BytesIO(file.read())) as content:
            return {name: content[name] for name in content.files}
    except Exception as error:  # a damaged zip file may raise almost any error
        raise DataError(f"{path} is damaged ({error}); remove it and resume") from None


def _cell(scores: Mapping[str, float], name: str) -> str:
    return f"{scores[name]:.5f}" if name in scores else f"{'-':>7}"
