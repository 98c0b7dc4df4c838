"""Markdown tables of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launch.comparison.running import Compared
from launch.comparison.statistics import OverModels, Statistics, Summary
from launch.run.results import aligned, short

NAMES = {"auc": "AUC", "logloss": "LogLoss", "gauc": "GAUC"}


def statistics_table(found: Statistics) -> str:
    """Compares each contender with the baseline at the epoch that validation chooses.

    Args:
        found: the statistics of one model.

    Returns:
        Markdown: mean ± standard deviation, mean difference ± standard deviation of the paired
        differences, p of the paired t-test, and the number of pairs.

    Example:
        >>> print(statistics_table(compare_runs(runs, "adam")))  # doctest: +SKIP
    """
    return _tests(found.chosen, found.baseline, f"{found.split} ")


def pass_table(found: Statistics) -> str:
    """Compares each contender with the baseline over all rows of a progressive run.

    Args:
        found: the statistics of one model, of progressive runs.

    Returns:
        Markdown, see `statistics_table`.

    Example:
        >>> print(pass_table(compare_runs(runs, "adam")))  # doctest: +SKIP
    """
    return _tests(found.whole_pass, found.baseline, "pass ")


def _tests(scores: Mapping[str, Mapping[str, Summary]], baseline: str, prefix: str) -> str:
    rows = [["optimizer"]]
    for metric in scores:
        rows[0] += [f"{prefix}{NAMES[metric]}", f"less {baseline}", "p"]
    rows[0].append("seeds")
    for label, auc in scores["auc"].items():
        cells = [label]
        for metric in scores:
            summary = scores[metric][label]
            cells += [mean_cell(summary), difference_cell(summary), p_cell(summary.p)]
        known = sum(value is not None for value in auc.values)
        rows.append([*cells, str(known if label == baseline else auc.pairs)])
    return aligned(rows)


def epochs_table(found: Statistics, metric: str = "auc") -> str:
    """Lists the difference to the baseline after each epoch, with p in parentheses.

    Args:
        found: the statistics of one model.
        metric: "auc" or "logloss".

    Returns:
        Markdown; the row of the baseline holds its means.
    """
    several = found.epochs[metric]
    title = f"{found.split} {NAMES[metric]} less {found.baseline}"
    rows = [[title, *(f"E{number + 1}" for number in range(len(several)))]]
    for label in found.chosen[metric]:
        if label == found.baseline:
            rows.append([f"{label} (mean)", *(mean_cell(epoch[label]) for epoch in several)])
        else:
            cells = [
                f"{difference_cell(epoch[label], spread=False)} ({p_cell(epoch[label].p)})"
                for epoch in several
            ]
            rows.append([label, *cells])
    return aligned(rows)


def models_table(found: Mapping[str, OverModels], metric: str, split: str, baseline: str) -> str:
    """Compares the contenders over several models.

    Args:
        found: one entry per contender.
        metric: "auc" or "logloss".
        split: "test" or "valid".
        baseline: label of the baseline.

    Returns:
        Markdown: the mean of each model, mean ± standard deviation over models, the mean
        difference to the baseline ± its standard deviation over models, p, and the number of
        models with which the contender is better.
    """
    models = list(next(iter(found.values())).means)
    rows = [
        [
            f"{split} {NAMES[metric]}",
            *models,
            "mean ± over models",
            f"less {baseline}",
            "p",
            "better",
        ]
    ]
    for label, one in found.items():
        cells = [
            "-" if one.means[model] is None else short(one.means[model], 4) for model in models
        ]
        cells.append(plus_minus(one.mean.mean, one.deviation))
        if label == baseline:
            cells += ["-", "-", "-"]
        else:
            cells.append(plus_minus(one.mean.difference, one.difference_deviation, sign=True))
            cells += [p_cell(one.mean.p), f"{one.wins} of {len(models)}"]
        rows.append([label, *cells])
    return aligned(rows)


def chosen_table(compared: Sequence[Compared], select: str) -> str:
    """Lists the settings that the validation split chose from the grids.

    Args:
        compared: the results, an entry per contender.
        select: "auc" or "logloss".

    Returns:
        Markdown: the number of points, the chosen point, its mean score, and the best epoch of
        each tuning seed.
    """
    rows = [["optimizer", "points", "chosen by validation", f"valid {NAMES[select]}", "epoch"]]
    for one in compared:
        if not one.tuned:
            rows.append([one.contender.label, "1", "-", "-", "-"])
            continue
        best = next(tuned for tuned in one.tuned if tuned.point == one.point)
        score, epochs = f"{abs(best.score):.5f}", "/".join(map(str, best.epochs))
        rows.append([one.contender.label, str(len(one.tuned)), best.point.text, score, epochs])
    return aligned(rows)


def mean_cell(summary: Summary) -> str:
    """Returns the mean ± standard deviation over seeds, or "-" if there is none."""
    return plus_minus(summary.mean, summary.deviation)


def difference_cell(summary: Summary, spread: bool = True) -> str:
    """Returns the mean difference ± its standard deviation, or "-" if there is none."""
    deviation = summary.difference_deviation if spread else None
    return plus_minus(summary.difference, deviation, sign=True)


def plus_minus(mean: float | None, deviation: float | None, sign: bool = False) -> str:
    """Formats a mean and a standard deviation with four decimals.

    Example:
        >>> plus_minus(0.78234, 0.0012), plus_minus(-0.0034, None, sign=True)
        ('.7823 ± .0012', '-.0034')
    """
    if mean is None:
        return "-"
    text = ("-" if mean < 0 else "+" if sign else "") + short(abs(mean), 4)
    return text if deviation is None else f"{text} ± {short(deviation, 4)}"


def p_cell(p: float | None) -> str:
    """Formats a p-value with two or three decimals.

    Example:
        >>> [p_cell(p) for p in (None, 0.0004, 0.0123, 0.5)]
        ['-', '<.001', '.012', '.50']
    """
    if p is None:
        return "-"
    if p < 0.001:
        return "<.001"
    return f"{p:.{2 if p >= 0.1 else 3}f}".removeprefix("0")
