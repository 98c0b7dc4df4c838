"""The measurements of a pass over time, slice by slice: JSON, text table and predictions."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from launch.run.history import Epoch
from zoo.data.files import join, write_bytes, write_json

FILE_NAME = "progressive.json"
PREDICTIONS = "predictions.npz"
_SCORES = ("auc", "logloss", "gauc")
_UNKNOWN = {"auc": math.nan, "logloss": math.nan}
_LINES = 10  # slices in the text table


@dataclasses.dataclass(frozen=True)
class SliceScores:
    """Scores of a slice before it was trained, and of all rows up to its end.

    Attributes:
        slice: int, number from 1.
        split: string, the split of its rows.
        rows: int, its rows.
        auc: float, area under the ROC curve of its rows.
        logloss: float, mean cross-entropy in nats.
        auc_so_far: float, area under the ROC curve of all rows scored so far, each with the
            prediction of its slice.
        logloss_so_far: float, mean cross-entropy of all rows scored so far.
        positives: float, mean label.
        gauc: float, AUC within groups; `None` if the schema has no group or no group has both
            labels.
        gauc_so_far: float, the same over all slices so far; groups are compared within slices.
        loss: float, mean training loss in nats, penalties included; each batch is measured before
            its step.
        seconds: float, duration of the training.
        score_seconds: float, duration of the scoring.
    """

    slice: int
    split: str
    rows: int
    auc: float
    logloss: float
    auc_so_far: float
    logloss_so_far: float
    positives: float
    gauc: float | None = None
    gauc_so_far: float | None = None
    loss: float = 0.0
    seconds: float = 0.0
    score_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class ProgressiveHistory:
    """The measurements of a pass over time.

    Attributes:
        slices: tuple of `SliceScores`.
        splits: dict `{"all" or split: {"rows", "auc", "logloss", "gauc"}}`, pooled over the rows;
            "gauc" only if the schema has a group.
        buckets: dict from the number of times that the rarest id of a row was trained before,
            such as "0" or "2-4", to the same scores without "gauc".
        held_out: dict from split to its scores after the pass, for splits that are not part of it.
        predictions: dict of arrays `[n]`, "logit", "label", "slice" of each row in the order of
            the pass, and "weight" and "group" if the rows have them; not part of the JSON file.
    """

    slices: tuple[SliceScores, ...]
    splits: Mapping[str, Mapping[str, float]]
    buckets: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    held_out: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    predictions: Mapping[str, np.ndarray] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def scores(self) -> dict[str, float]:
        """Dict of single scores: "auc", "logloss" and "gauc" over all rows, "slice_auc" and
        "slice_logloss" (means over slices), "valid_auc" and so on (of splits held out)."""
        found = {key: value for key, value in self.splits["all"].items() if key in _SCORES}
        for name in ("auc", "logloss"):
            found[f"slice_{name}"] = float(np.mean([getattr(s, name) for s in self.slices]))
        for split, scores in self.held_out.items():
            found |= {f"{split}_{name}": value for name, value in scores.items()}
        return found

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """The run as one epoch, for tools that compare runs by epochs.

        The scores of valid and test are those after the pass. For a split that is part of the
        pass, they are those of its rows before each was trained. NaN without a validation split.
        """
        scores = {**self.splits, **self.held_out}
        valid, test = scores.get("valid", _UNKNOWN), scores.get("test", {})
        rows = sum(s.rows for s in self.slices)
        loss = sum(s.loss * s.rows for s in self.slices) / rows
        seconds = sum(s.seconds for s in self.slices)
        speed = rows / seconds if seconds else 0.0
        return (
            Epoch(
                1, loss, valid["auc"], valid["logloss"], test.get("auc"), test.get("logloss"),
                seconds, speed,
            ),
        )  # fmt: skip

    def table(self) -> str:
        """Returns the results as text, with at most 10 slices."""
        seconds = sum(s.seconds + s.score_seconds for s in self.slices)
        rows = sum(s.rows for s in self.slices)
        lines = ["each row is scored before it is trained"]
        lines.append("slice  split       rows     loss      AUC  LogLoss   AUC so far  LogLoss")
        for s in _some(self.slices):
            lines.append(
                f"{s.slice:>5}  {s.split:<8} {s.rows:>7,}  {s.loss:.5f}  {s.auc:.5f}  "
                f"{s.logloss:.5f}      {s.auc_so_far:.5f}  {s.logloss_so_far:.5f}"
            )
        speed = f", {rows / seconds:,.0f} rows/s" if seconds else ""
        lines.append(f"{len(self.slices)} slices, {rows:,} rows{speed}")
        lines.append("")
        lines.append("pooled over        rows      AUC  LogLoss     GAUC")
        lines += [_line(name, scores) for name, scores in self.splits.items()]
        means = {key.removeprefix("slice_"): value for key, value in self.scores.items()
                 if key.startswith("slice_")}  # fmt: skip
        lines.append(_line("mean of slices", means))
        if self.buckets:
            lines.append("rarest id seen")
            lines += [_line(f"  {name}", scores) for name, scores in self.buckets.items()]
        if self.held_out:
            lines.append("after the pass")
            lines += [_line(f"  {name}", scores) for name, scores in self.held_out.items()]
        return "\n".join(lines)

    def save(self, directory: str, settings: Mapping[str, Any]) -> str:
        """Writes `progressive.json`, and `predictions.npz` if there are predictions.

        Args:
            directory: string, folder of the run.
            settings: dict, the settings of the pass.

        Returns:
            The path of the JSON file.
        """
        if self.predictions:
            content = io.BytesIO()
            np.savez_compressed(content, **self.predictions)
            write_bytes(join(directory, PREDICTIONS), content.getvalue())
        path = join(directory, FILE_NAME)
        write_json(
            path,
            {
                "settings": dict(settings),
                "scores": self.scores,
                "splits": self.splits,
                "buckets": self.buckets,
                "held_out": self.held_out,
                "slices": [dataclasses.asdict(s) for s in self.slices],
            },
        )
        return path


def _some(slices: Sequence[SliceScores]) -> list[SliceScores]:
    """Returns at most `_LINES` slices, evenly spread, including the last."""
    count = len(slices)
    if count <= _LINES:
        return list(slices)
    return [slices[round((i + 1) * count / _LINES) - 1] for i in range(_LINES)]


def _line(name: str, scores: Mapping[str, float]) -> str:
    rows = f"{scores['rows']:,}" if "rows" in scores else ""
    gauc = f"{scores['gauc']:.5f}" if "gauc" in scores else ""
    return f"{name:<14} {rows:>8}  {scores['auc']:.5f}  {scores['logloss']:.5f}  {gauc}".rstrip()
