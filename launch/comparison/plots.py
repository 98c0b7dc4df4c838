"""Plots of a comparison, whose axes show the differences between the best values."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from launch.comparison.statistics import (
    METRICS,
    chosen_values,
    confidence_interval,
    epoch_values,
    pass_metrics,
    pass_values,
    tested_split,
)
from launch.comparison.tables import NAMES
from launch.figures import marker_of, save_figure
from launch.run.results import Runs, short

_WRAPPED = 34  # characters of a name per line
_SHOWN = 4.0  # times the median distance to the best that a zoomed axis shows
_TICKS = 20  # epochs with a number below the axis
_MARGIN = 0.08  # share of the shown range between a curve and the end of its axis
_LINE_OF_TEXT = 0.12  # share of the shown range that the number of a value beyond it takes
_FAR = 2.0  # an axis is zoomed if the worst value is further than this many times the range


def zoom(values: Sequence[float], larger_is_better: bool = True) -> float:
    """The end of an axis that shows the differences between the better values.

    The axis shows the values whose distance to the best is at most 4 times the median distance.
    If the worst value is at most twice as far as that, it shows all values.

    Args:
        values: sequence of at least one float.
        larger_is_better: bool, false for a loss.

    Returns:
        Float, the worst value that is shown.

    Example:
        >>> zoom([0.790, 0.789, 0.788, 0.70]), zoom([0.790, 0.789, 0.786])
        (0.788, 0.786)
    """
    order = sorted(values, reverse=larger_is_better)
    distances = [abs(value - order[0]) for value in order]
    others = distances[1:] or distances
    shown = _SHOWN * others[(len(others) - 1) // 2]
    if distances[-1] <= _FAR * shown:
        return order[-1]
    return max(zip(distances, order, strict=True), key=lambda pair: (pair[0] <= shown, pair[0]))[1]


def plot_comparison(runs: Runs, path: str, title: str, select: str = "auc") -> str:
    """Draws AUC and LogLoss at the chosen epochs of all seeds, and after each epoch.

    On the left, a row per contender: a dot for each seed at the epoch that the validation split
    chose, their mean, and the 95 % confidence interval of the mean (Student's). On the right, the
    mean after each epoch, with a band of one sample standard deviation; for progressive runs, the
    scores over all rows of the pass as on the left. A value beyond an axis is an arrow with its
    number.

    Args:
        runs: for each label its runs, one per seed.
        path: file to write.
        title: string, title of the plot, such as the data set and the model.
        select: "auc" or "logloss", the validation metric that chooses the epoch.

    Returns:
        The path.

    Raises:
        ValueError: if no run has an epoch.

    Example:
        >>> plot_comparison(runs, "curves.png", "frappe: deepfm")  # doctest: +SKIP
    """
    runs = {label: several for label, several in runs.items() if any(r.epochs for r in several)}
    if not runs:
        raise ValueError("no run has an epoch to plot; all diverged in their first epoch")
    split = tested_split(runs)
    height = max(2.6, 0.9 + 0.42 * len(runs))
    figure, axes = plt.subplots(2, 2, figsize=(12.5, 2 * height), layout="constrained")
    colors = colors_of(len(runs))
    for (dots, curves), metric in zip(axes, METRICS, strict=True):
        name = f"{NAMES[metric]}, {split} split"
        chosen = {
            label: [v for v in chosen_values(r, metric, split, select) if v is not None]
            for label, r in runs.items()
        }
        draw_dots(dots, chosen, metric == "auc", colors)
        is_pass = bool(pass_metrics(runs))
        dots.set_xlabel(name if is_pass else f"{name}, epoch chosen by validation")
        if is_pass:
            passed = {
                label: [v for v in pass_values(r, metric) if v is not None]
                for label, r in runs.items()
            }
            draw_dots(curves, passed, metric == "auc", colors)
            curves.set_yticklabels([])
            curves.set_xlabel(f"{NAMES[metric]} over all rows, each scored before it is trained")
            continue
        _draw_curves(curves, _epochs(runs, metric, split), metric == "auc", colors)
        curves.set_ylabel(name)
        curves.set_xlabel("epoch (passes over the training data)")
    seeds = max(len(several) for several in runs.values())
    figure.suptitle(f"{title} ({seeds} seeds)" if seeds > 1 else title)
    return save_figure(figure, path)


def plot_models(
    models: Mapping[str, Mapping[str, Sequence[float]]], path: str, title: str, name: str
) -> str:
    """Draws the scores at the chosen epochs of all contenders, with a panel per model.

    Args:
        models: dict from model to a dict from label to the AUC of each seed.
        path: file to write.
        title: string, title of the plot.
        name: string, name of the values, for the axes.

    Returns:
        The path.

    Example:
        >>> plot_models({"dnn": {"adam": [0.78, 0.79]}}, "models.png", "a", "AUC")  # doctest: +SKIP
    """
    labels = list(next(iter(models.values())))
    size = (4.0 * len(models) + 2.0, max(2.6, 1.2 + 0.42 * len(labels)))
    figure, axes = plt.subplots(1, len(models), figsize=size, layout="constrained", squeeze=False)
    for number, (axis, (model, values)) in enumerate(zip(axes[0], models.items(), strict=True)):
        draw_dots(axis, values, True, colors_of(len(labels)))
        axis.set_title(model)
        axis.set_xlabel(name)
        if number:
            axis.set_yticklabels([])
    figure.suptitle(title)
    return save_figure(figure, path)


def colors_of(count: int) -> list:
    """Returns a color for each of so many contenders."""
    return [plt.get_cmap("tab10" if count <= 10 else "tab20")(place) for place in range(count)]


def draw_dots(
    axis: Axes, values: Mapping[str, Sequence[float]], larger_is_better: bool, colors: Sequence
) -> None:
    """Draws a row per contender: seeds, mean, and the confidence interval of the mean.

    Args:
        axis: Matplotlib axes to draw on.
        values: dict from label to the value of each seed.
        larger_is_better: bool, false for a loss.
        colors: sequence of colors, one per contender.
    """
    means = {label: float(np.mean(several)) for label, several in values.items() if several}
    end = zoom(list(means.values()) or [0.0], larger_is_better)
    sign = 1 if larger_is_better else -1
    shown = {label: mean for label, mean in means.items() if sign * (mean - end) >= 0}
    inside = list(shown.values())
    for label in shown:
        inside += [*confidence_interval(values[label])] if len(values[label]) > 2 else values[label]
    low, high = min(inside, default=0.0), max(inside, default=1.0)
    margin = 0.08 * (high - low) or 0.001
    axis.set_xlim(low - margin, high + margin)
    labels = list(values)
    for place, (label, color) in enumerate(zip(labels, colors, strict=False)):
        if label not in shown:
            if label in means:
                _outside(axis, means[label], place, color, left=larger_is_better)
            continue
        several = values[label]
        axis.plot(several, [place] * len(several), ".", color=color, alpha=0.45, markersize=7)
        left, right = confidence_interval(several)
        mean = means[label]
        axis.errorbar(
            mean, place, xerr=[[mean - left], [right - mean]], fmt="D", color=color,
            markersize=6, capsize=4, linewidth=1.6,
        )  # fmt: skip
    axis.set_yticks(range(len(labels)), [textwrap.fill(label, _WRAPPED) for label in labels])
    for tick, color in zip(axis.get_yticklabels(), colors, strict=False):
        tick.set_color(color)
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.ticklabel_format(axis="x", useOffset=False)
    axis.grid(axis="x", alpha=0.3)


def _outside(axis: Axes, mean: float, place: int, color, left: bool) -> None:
    """Draws an arrow at the edge of the axis, with the value that is beyond it."""
    x, offset = (0.0, 1) if left else (1.0, -1)
    axis.plot(
        x, place, "<" if left else ">", color=color, markersize=9, clip_on=False,
        transform=axis.get_yaxis_transform(),
    )  # fmt: skip
    axis.annotate(
        short(mean, 4), (x, place), (offset * 10, 0), xycoords=axis.get_yaxis_transform(),
        textcoords="offset points", color=color, va="center", ha="left" if left else "right",
    )  # fmt: skip


def _epochs(runs: Runs, metric: str, split: str) -> dict[str, np.ndarray]:
    """Returns an array [seeds, epochs] per label; it is nan after the end of a run."""
    found = {}
    for label, several in runs.items():
        longest = max(len(run.epochs) for run in several)
        columns = [epoch_values(several, metric, split, e + 1) for e in range(longest)]
        found[label] = np.array(columns, float).T
    return found


def curve_axis(curves: Sequence[np.ndarray], larger_is_better: bool = True) -> tuple[float, float]:
    """The end of an axis of curves: the values up to it are drawn, those beyond it are numbers.

    Between the two ends there is space for the numbers of the values beyond, and no value, so that
    numbers do not cover markers.

    Args:
        curves: sequence of arrays, a value after each epoch.
        larger_is_better: bool, false for a loss.

    Returns:
        Two floats, the worst value that is drawn and the end of the axis.

    Example:
        >>> curve_axis([np.array([0.75, 0.74]), np.array([0.76, 0.5])])
        (0.74, 0.7352)
    """
    sign = 1 if larger_is_better else -1
    everything = np.concatenate(curves)
    best, end = sign * (sign * everything).max(), zoom(everything.tolist(), larger_is_better)
    while True:
        beyond = [
            sum(sign * (curve[epoch] - end) < 0 for curve in curves if epoch < len(curve))
            for epoch in range(max(map(len, curves)))
        ]
        rows, shown = max(beyond), abs(best - end)
        room = max(_MARGIN, _LINE_OF_TEXT * (1 + rows) if rows else 0.0) * shown or 0.001
        limit = end - sign * room
        between = everything[(sign * (everything - end) < 0) & (sign * (everything - limit) >= 0)]
        if not len(between):
            return float(end), float(limit)
        end = sign * (sign * between).min()


def _draw_curves(
    axis: Axes, values: Mapping[str, np.ndarray], larger_is_better: bool, colors: Sequence
) -> None:
    means = {label: np.nanmean(array, axis=0) for label, array in values.items()}
    everything = np.concatenate(list(means.values()))
    sign = 1 if larger_is_better else -1
    end, limit = curve_axis(list(means.values()), larger_is_better)
    best = sign * (sign * everything).max()
    margin = _MARGIN * abs(best - end) or 0.001
    axis.set_ylim(*sorted((limit, best + sign * margin)))
    outside: dict[int, int] = {}
    for place, (label, color) in enumerate(zip(values, colors, strict=False)):
        mean, x = means[label], np.arange(1, len(means[label]) + 1)
        axis.plot(x, mean, marker=marker_of(place), color=color, markersize=5)
        if len(values[label]) > 1:
            deviation = np.nan_to_num(_deviation(values[label]))
            axis.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.15)
        for epoch, value in zip(x.tolist(), mean, strict=True):
            if sign * (value - end) < 0:
                row = outside[epoch] = outside.get(epoch, -1) + 1
                _below(axis, value, epoch, row, color, bottom=larger_is_better)
    longest = max(len(mean) for mean in means.values())
    axis.set_xlim(0.7, longest + 0.3)
    axis.set_xticks(range(1, longest + 1, -(-longest // _TICKS)))
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.grid(alpha=0.3)


def _deviation(array: np.ndarray) -> np.ndarray:
    counts = np.sum(~np.isnan(array), axis=0)
    mean = np.nanmean(array, axis=0)
    return np.sqrt(np.nansum((array - mean) ** 2, axis=0) / np.maximum(counts - 1, 1))


def _below(axis: Axes, value: float, epoch: int, row: int, color, bottom: bool) -> None:
    """Draws an arrow at the edge of the axis, with the value that is beyond it."""
    y, offset = (0.0, 1) if bottom else (1.0, -1)
    transform = axis.get_xaxis_transform()
    if not row:
        axis.plot(
            epoch, y, "v" if bottom else "^", color=color, markersize=7, clip_on=False,
            transform=transform,
        )  # fmt: skip
    axis.annotate(
        short(value, 4), (epoch, y), (0, offset * (8 + 11 * row)), xycoords=transform,
        textcoords="offset points", color=color, fontsize=8, ha="center",
        va="bottom" if bottom else "top",
        bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip
