"""Paired t-tests over seeds: each contender of a comparison against the baseline."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from launch.run.history import Epoch, History, chosen_epoch
from launch.run.results import Runs

METRICS = ("auc", "logloss")
PASS_METRICS = (*METRICS, "gauc")
_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Summary:
    """The values of one contender over seeds, and their difference to the baseline's.

    Attributes:
        values: tuple of floats, one per seed; `None` for a run without a value.
        mean: float, mean of the known values; `None` if there are none.
        deviation: float, their sample standard deviation; `None` for fewer than two.
        difference: float, mean difference to the baseline's value of the same seed; `None` for
            the baseline.
        difference_deviation: float, sample standard deviation of these differences.
        t: float, statistic of the paired t-test; `None` if it is infinite.
        p: float, its two-sided p-value; `None` for fewer than two pairs, or equal values.
        pairs: int, number of seeds with a value of both.
    """

    values: tuple[float | None, ...]
    mean: float | None
    deviation: float | None
    difference: float | None = None
    difference_deviation: float | None = None
    t: float | None = None
    p: float | None = None
    pairs: int = 0


def summarize(
    values: Sequence[float | None], baseline: Sequence[float | None] | None = None
) -> Summary:
    """Mean and standard deviation over seeds, and the paired t-test against a baseline.

    With the differences d_i of n seeds, `t = mean(d) / (std(d) / sqrt(n))`, and p is that of
    Student's distribution with n - 1 degrees of freedom (`scipy.stats.ttest_rel`).

    Args:
        values: sequence of floats, one per seed; `None` for a run without a value.
        baseline: the values of the baseline, in the same order of seeds; `None`: no test.

    Returns:
        A `Summary`.

    Raises:
        ValueError: if the numbers of seeds differ.

    Example:
        >>> found = summarize([0.79, 0.80, 0.80], [0.78, 0.78, 0.79])
        >>> f"{found.difference:.4f} {found.p:.4f}"
        '0.0133 0.0572'
    """
    known = [v for v in values if v is not None]
    mean, deviation = _moments(known)
    if baseline is None:
        return Summary(tuple(values), mean, deviation)
    if len(values) != len(baseline):
        raise ValueError(
            f"{len(values)} values cannot be paired with {len(baseline)} of the baseline; run both "
            "with the same seeds"
        )
    pairs = [
        (v, b) for v, b in zip(values, baseline, strict=True) if v is not None and b is not None
    ]
    difference, spread = _moments([v - b for v, b in pairs])
    t = p = None
    if len(pairs) > 1 and any(v != b for v, b in pairs):
        with warnings.catch_warnings():
            # Differences that are all the same give t = inf and p = 0, with a warning.
            warnings.simplefilter("ignore")
            t, p = (float(x) for x in stats.ttest_rel(*zip(*pairs, strict=True)))
        t = t if math.isfinite(t) else None  # JSON has no infinity
    return Summary(tuple(values), mean, deviation, difference, spread, t, p, len(pairs))


def _moments(values: Sequence[float]) -> tuple[float | None, float | None]:
    mean = float(np.mean(values)) if values else None
    return mean, float(np.std(values, ddof=1)) if len(values) > 1 else None


def confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of a mean, by Student's distribution.

    `mean +- t_{0.975, n-1} * std / sqrt(n)`.

    Args:
        values: sequence of at least one float.

    Returns:
        The lower and the upper end; for a single value, both are the mean.

    Example:
        >>> low, high = confidence_interval([0.79, 0.80, 0.81])
        >>> f"{low:.4f} {high:.4f}"
        '0.7752 0.8248'
    """
    mean, deviation = _moments(list(values))
    if not deviation:
        return mean, mean
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * deviation
    half /= math.sqrt(len(values))
    return mean - float(half), mean + float(half)


def tested_split(runs: Runs) -> str:
    """The split whose scores are compared: "test", or "valid" for data without a test split."""
    epochs = [epoch for several in runs.values() for run in several for epoch in run.epochs]
    return "test" if epochs and all(e.test_auc is not None for e in epochs) else "valid"


def chosen_values(
    runs: Sequence[History], metric: str, split: str, select: str
) -> list[float | None]:
    """Returns a metric at the epoch that the validation split chooses, one value per run.

    Args:
        runs: the runs of one contender.
        metric: "auc" or "logloss".
        split: "test" or "valid".
        select: "auc" or "logloss", the validation metric that chooses the epoch.

    Returns:
        Floats; `None` for a run without epochs.

    Example:
        >>> run = History((Epoch(1, 0.5, 0.7, 0.6, 0.69, 0.61), Epoch(2, 0.4, 0.6, 0.7, 0.5, 0.8)))
        >>> chosen_values([run], "auc", "test", "auc")
        [0.69]
    """
    return [
        _value(chosen_epoch(r.epochs, select), metric, split) if r.epochs else None for r in runs
    ]


def epoch_values(
    runs: Sequence[History], metric: str, split: str, epoch: int
) -> list[float | None]:
    """Returns a metric after an epoch, one value per run; `None` if the run ended before.

    Args:
        runs: the runs of one contender.
        metric: "auc" or "logloss".
        split: "test" or "valid".
        epoch: number, from 1.

    Example:
        >>> epoch_values([History((Epoch(1, 0.5, 0.7, 0.6),))], "auc", "valid", 1)
        [0.7]
    """
    return [
        _value(r.epochs[epoch - 1], metric, split) if len(r.epochs) >= epoch else None for r in runs
    ]


def _value(epoch: Epoch, metric: str, split: str) -> float | None:
    return getattr(epoch, f"{split}_{metric}")


@dataclasses.dataclass(frozen=True)
class Statistics:
    """The tests of a comparison with one model.

    Attributes:
        baseline: string, label of the contender that the others are tested against.
        split: string, the split of the scores.
        chosen: dict `{metric: {label: Summary}}`, at the epoch that the validation split chooses.
        epochs: dict `{metric: [{label: Summary} per epoch]}`.
        whole_pass: dict `{metric: {label: Summary}}` of progressive runs, over all their rows;
            empty for others.
    """

    baseline: str
    split: str
    chosen: Mapping[str, Mapping[str, Summary]]
    epochs: Mapping[str, Sequence[Mapping[str, Summary]]]
    whole_pass: Mapping[str, Mapping[str, Summary]] = dataclasses.field(default_factory=dict)

    def json(self) -> dict:
        """Returns the fields as a dict of plain values."""
        return dataclasses.asdict(self)


def compare_runs(runs: Runs, baseline: str, select: str = "auc") -> Statistics:
    """Tests each contender against the baseline, at the chosen epoch and after each epoch.

    Args:
        runs: dict from label to its runs, all in the same order of seeds.
        baseline: label of the baseline.
        select: "auc" or "logloss", the validation metric that chooses the epoch.

    Returns:
        `Statistics`; the baseline's summaries have no difference.

    Example:
        >>> runs = {"adam": [History((Epoch(1, 0.5, 0.7, 0.6),))]}
        >>> compare_runs(runs, "adam").chosen["auc"]["adam"].mean
        0.7
    """
    split = tested_split(runs)
    length = max((len(run.epochs) for several in runs.values() for run in several), default=0)

    def tested(values: Mapping[str, list[float | None]]) -> dict[str, Summary]:
        return {
            label: summarize(own, None if label == baseline else values[baseline])
            for label, own in values.items()
        }

    chosen, epochs = {}, {}
    for metric in METRICS:
        chosen[metric] = tested(
            {label: chosen_values(r, metric, split, select) for label, r in runs.items()}
        )
        epochs[metric] = [
            tested({label: epoch_values(r, metric, split, number) for label, r in runs.items()})
            for number in range(1, length + 1)
        ]
    whole = {}
    for metric in pass_metrics(runs):
        whole[metric] = tested({label: pass_values(r, metric) for label, r in runs.items()})
    return Statistics(baseline, split, chosen, epochs, whole)


def pass_metrics(runs: Runs) -> list[str]:
    """Returns the metrics of progressive runs over all their rows; none for other runs.

    Example:
        >>> pass_metrics({"adam": [History((Epoch(1, 0.5, 0.7, 0.6),), pass_scores={"auc": 0.6})]})
        ['auc']
    """
    found = [run.pass_scores for several in runs.values() for run in several if run.epochs]
    return [m for m in PASS_METRICS if found and all(m in scores for scores in found)]


def pass_values(runs: Sequence[History], metric: str) -> list[float | None]:
    """Returns a metric of progressive runs over all rows; `None` for a run that diverged.

    Args:
        runs: the runs of one contender.
        metric: one of `pass_metrics`.

    Example:
        >>> pass_values([History((), pass_scores={"auc": 0.6}), History(())], "auc")
        [0.6, None]
    """
    return [run.pass_scores.get(metric) for run in runs]


@dataclasses.dataclass(frozen=True)
class OverModels:
    """The results of one contender over several models.

    Attributes:
        means: dict from model to the mean over seeds; `None` if no run has a value.
        mean: `Summary` of the seeds' means over models, tested against the baseline's.
        deviation: float, sample standard deviation over models of the means.
        difference_deviation: float, the same of the mean differences to the baseline; `None` for
            the baseline.
        wins: int, number of models with which its mean is better than the baseline's.
    """

    means: Mapping[str, float | None]
    mean: Summary
    deviation: float | None
    difference_deviation: float | None
    wins: int


def over_models(found: Mapping[str, Statistics], metric: str = "auc") -> dict[str, OverModels]:
    """Mean, variance and test over models, at the epochs that the validation split chooses.

    Args:
        found: dict from model to its statistics, of the same contenders and seeds.
        metric: "auc" or "logloss".

    Returns:
        One entry per contender.

    Example:
        >>> runs = {"adam": [History((Epoch(1, 0.5, 0.7, 0.6),))]}
        >>> found = {model: compare_runs(runs, "adam") for model in ("dnn", "deepfm")}
        >>> over_models(found)["adam"].mean.mean
        0.7
    """
    first = next(iter(found.values()))
    sign = 1 if metric == "auc" else -1
    values = {
        label: _mean_over([one.chosen[metric][label].values for one in found.values()])
        for label in first.chosen[metric]
    }
    result = {}
    for label, own in values.items():
        summaries = {model: one.chosen[metric][label] for model, one in found.items()}
        means = {model: summary.mean for model, summary in summaries.items()}
        differences = [s.difference for s in summaries.values() if s.difference is not None]
        result[label] = OverModels(
            means,
            summarize(own, None if label == first.baseline else values[first.baseline]),
            _moments([mean for mean in means.values() if mean is not None])[1],
            _moments(differences)[1],
            sum(sign * difference > 0 for difference in differences),
        )
    return result


def _mean_over(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean over rows in each column; `None` where a row lacks a value."""
    return [
        None if None in column else float(np.mean(column)) for column in zip(*rows, strict=True)
    ]
