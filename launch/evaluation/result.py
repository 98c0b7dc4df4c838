"""The result of an evaluation: scores with intervals, and differences between models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from launch.evaluation.resampling import ModelScores, bootstrap, interval, p_value
from launch.evaluation.scored_models import ScoredRows
from launch.run.results import aligned, short
from tf_helen.analysis import Buckets

FILE_NAME = "evaluation.json"
NAMES = {
    "auc": "AUC",
    "logloss": "LogLoss",
    "normalized_entropy": "NE",
    "calibration": "predicted / observed",
    "ece": "ECE",
    "gauc": "GAUC",
}


@dataclasses.dataclass(frozen=True)
class Score:
    """A score with its confidence interval.

    Attributes:
        value: float, on all rows; NaN if it is undefined.
        low: float, lower end of the interval; NaN without bootstrap samples.
        high: float, upper end.
    """

    value: float
    low: float
    high: float

    def text(self, digits: int = 4) -> str:
        """Returns such as ".7795 [.7790, .7801]"."""
        if self.value != self.value:
            return "-"
        if self.low != self.low:
            return short(self.value, digits)
        ends = ", ".join(short(end, digits) for end in (self.low, self.high))
        return f"{short(self.value, digits)} [{ends}]"


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference between the scores of two models on the same rows.

    Attributes:
        value: float, the score of the model minus that of the baseline.
        low: float, lower end of its interval, from the paired bootstrap.
        high: float, upper end.
        p: float, two-sided p-value of "no difference".
    """

    value: float
    low: float
    high: float
    p: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of models on the same rows.

    Attributes:
        rows: int.
        positives: float, mean label, weighted.
        groups: int, groups with both classes.
        labels: list of strings, the models; the first is the baseline.
        scores: dict from model to a dict from score to `Score`.
        differences: dict from each model but the first to a dict from score to `Difference`.
        calibration: dict from model to a list of dicts, one per quantile bin of its prediction.
        frequency: list of dicts "occurrences", "rows" and "positives", one per bucket.
    """

    rows: int
    positives: float
    groups: int
    labels: list[str]
    scores: dict[str, dict[str, Score]]
    differences: dict[str, dict[str, Difference]]
    calibration: dict[str, list[dict[str, Any]]]
    frequency: list[dict[str, Any]]

    def relative_improvement(self, label: str) -> float:
        """Returns `(AUC - 1/2) / (AUC_baseline - 1/2) - 1`; NaN if the baseline's is 1/2."""
        base = self.scores[self.labels[0]]["auc"].value - 0.5
        own = self.scores[label]["auc"].value - 0.5
        return own / base - 1 if base else float("nan")

    def as_json(self) -> dict[str, Any]:
        """Returns the content of `evaluation.json`; an undefined number is `None`."""
        models = {
            label: {
                "scores": {name: vars(score) for name, score in self.scores[label].items()},
                "calibration": self.calibration[label],
            }
            for label in self.labels
        }
        differences = {
            label: {
                "baseline": self.labels[0],
                "relative_improvement": self.relative_improvement(label),
                "scores": {name: vars(each) for name, each in found.items()},
            }
            for label, found in self.differences.items()
        }
        return _without_nan(
            {
                "rows": self.rows,
                "positives": self.positives,
                "groups": self.groups,
                "frequency": self.frequency,
                "models": models,
                "differences": differences,
            }
        )

    def text(self, confidence: float) -> str:
        """Returns the tables, in Markdown."""
        parts = [self._scores_table()]
        if self.differences:
            parts.append(self._differences_table(confidence))
        if self.frequency:
            parts.append(self._frequency_table())
        parts += [self._calibration_table(label) for label in self.labels]
        return "\n\n".join(parts)

    def _scores_table(self) -> str:
        names = [name for name in NAMES if name in self.scores[self.labels[0]]]
        rows = [["model", *(NAMES[name] for name in names)]]
        for label in self.labels:
            found = self.scores[label]
            rows.append([label, *(found[name].text(_digits(name)) for name in names)])
        return aligned(rows)

    def _differences_table(self, confidence: float) -> str:
        title = f"{confidence:.0%} interval"
        rows = [[f"minus {self.labels[0]}", "score", "difference", title, "p"]]
        for label, found in self.differences.items():
            for place, name in enumerate(name for name in NAMES if name in found):
                each = found[name]
                ends = f"[{each.low:+.5f}, {each.high:+.5f}]" if each.low == each.low else "-"
                value = f"{each.value:+.5f}" if each.value == each.value else "-"
                p = "-" if each.p != each.p else f"{each.p:.4f}"
                rows.append(["" if place else label, NAMES[name], value, ends, p])
        lines = [aligned(rows)]
        lines += [
            f"{label}: relative improvement of AUC (RelaImpr) {improvement:+.2%}"
            for label in self.differences
            if (improvement := self.relative_improvement(label)) == improvement
        ]
        return "\n\n".join(lines)

    def _frequency_table(self) -> str:
        rows = [["occurrences", "rows", "positives", *(f"AUC {label}" for label in self.labels)]]
        for bucket in self.frequency:
            if not bucket["rows"]:
                continue
            name = f"auc/{bucket['occurrences']}"
            rows.append(
                [
                    bucket["occurrences"],
                    f"{bucket['rows']:,}",
                    f"{bucket['positives']:.4f}",
                    *(self.scores[label][name].text() for label in self.labels),
                ]
            )
        return aligned(rows)

    def _calibration_table(self, label: str) -> str:
        rows = [[f"calibration of {label}", "rows", "predicted", "observed", "ratio"]]
        for place, each in enumerate(self.calibration[label], start=1):
            if each["weight"]:
                observed = Score(each["observed"], each["observed_low"], each["observed_high"])
                rows.append(
                    [
                        f"bin {place}",
                        f"{each['weight']:,.0f}",
                        f"{each['predicted']:.5f}",
                        observed.text(5),
                        "-" if np.isnan(each["ratio"]) else f"{each['ratio']:.3f}",
                    ]
                )
        return aligned(rows)


def evaluation(
    rows: ScoredRows,
    buckets: Buckets | None,
    *,
    bins: int = 10,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Computes the scores of models, their intervals, and the differences to the first model.

    Rows are drawn for all scores but GAUC, for which groups with both classes are drawn. The bins
    of the calibration are those of all rows. Each sample is the same for all models.

    Args:
        rows: `ScoredRows`.
        buckets: `Buckets` of the rows by frequency; `None`: no AUC by frequency.
        bins: int, number of quantile bins of the prediction. Defaults to 10.
        samples: int, number of bootstrap samples; 0: no intervals. Defaults to 1000.
        confidence: float in (0, 1). Defaults to 0.95.
        seed: int, of the samples. Defaults to 0.
        progress: boolean; shows progress. Defaults to `True`.

    Returns:
        `Evaluation`.
    """
    models = {
        label: ModelScores(rows, logits, buckets, bins) for label, logits in rows.logits.items()
    }
    drawn = bootstrap(models, len(rows.label), samples, seed, progress)
    values = {label: model.values() for label, model in models.items()}
    labels = list(models)
    names = models[labels[0]].names
    all_scores = {
        label: {
            name: Score(float(value), *interval(drawn[label][:, place], confidence))
            for place, (name, value) in enumerate(zip(names, values[label], strict=True))
        }
        for label in labels
    }
    differences = {}
    for label in labels[1:]:
        gap = drawn[label] - drawn[labels[0]]
        differences[label] = {
            name: Difference(
                float(values[label][place] - values[labels[0]][place]),
                *interval(gap[:, place], confidence),
                p_value(gap[:, place]),
            )
            for place, name in enumerate(names)
            if not name.startswith("observed/")
        }
    shown = {
        label: {name: s for name, s in scores.items() if not name.startswith("observed/")}
        for label, scores in all_scores.items()
    }
    weight = np.ones(len(rows.label)) if rows.weight is None else rows.weight
    return Evaluation(
        rows=len(rows.label),
        positives=float(weight @ rows.label / weight.sum()),
        groups=models[labels[0]].groups,
        labels=labels,
        scores=shown,
        differences=differences,
        calibration={label: _bins(models[label], all_scores[label]) for label in labels},
        frequency=_buckets(rows.label, weight, buckets) if buckets is not None else [],
    )


def _bins(model: ModelScores, scores: Mapping[str, Score]) -> list[dict[str, Any]]:
    bins = model.bins()
    columns = (bins.weight, bins.mean_predicted, bins.mean_observed, bins.ratios)
    return [
        {
            "weight": float(weight),
            "predicted": float(predicted),
            "observed": float(observed),
            "observed_low": scores[f"observed/{place}"].low,
            "observed_high": scores[f"observed/{place}"].high,
            "ratio": float(ratio),
        }
        for place, (weight, predicted, observed, ratio) in enumerate(zip(*columns, strict=True))
    ]


def _buckets(label: np.ndarray, weight: np.ndarray, buckets: Buckets) -> list[dict[str, Any]]:
    number = len(buckets)
    weights = np.bincount(buckets.assignment, weight, number)
    positives = np.bincount(buckets.assignment, weight * label, number)
    return [
        {
            "occurrences": name,
            "rows": int(rows),
            "positives": float(p / w) if w else float("nan"),
        }
        for name, rows, p, w in zip(buckets.labels, buckets.sizes, positives, weights, strict=True)
    ]


def _digits(name: str) -> int:
    return {"ece": 5, "calibration": 3}.get(name, 4)


def _without_nan(value: Any) -> Any:
    """Returns the value with `None` for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and value != value else value
