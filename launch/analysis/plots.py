"""Plots of sharpness and norms against frequency."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from matplotlib import pyplot as plt

from launch.analysis.norms import RunNorms
from launch.analysis.sharpness import TOGETHER, FieldSharpness, Measured, together
from launch.figures import legend_below, save_figure

_PANELS = 24  # fields in one picture
_COLUMNS = 5
_STYLES = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dashes and dots"}
_SMALLEST = 1e-3  # of the largest mean norm, the end of the axis


def plot_against_counts(
    runs: Mapping[str, Measured],
    value: Callable[[FieldSharpness], np.ndarray],
    label: str,
    path: str,
    title: str,
) -> str:
    """Draws a value per row against the row's occurrences, on log axes, a panel per field.

    The first panel holds all fields, as in figure 6 of Helen's paper; the others a field each, as
    in figure 3. Of many fields those with the most rows are drawn. Values that are not positive
    have no place on a log axis and are left out.

    Args:
        runs: dict from label to the fields of the run.
        value: callable that takes a `FieldSharpness` and returns `[n]`.
        label: string, name of the value.
        path: string, file to write.
        title: string.

    Returns:
        String, `path`.
    """
    sizes: dict[str, int] = {}
    for measured in runs.values():
        for name, each in measured.items():
            sizes[name] = max(sizes.get(name, 0), len(each.ids))
    fields = [TOGETHER, *sorted(sizes, key=lambda name: -sizes[name])[: _PANELS - 1]]
    columns = min(_COLUMNS, len(fields))
    height = math.ceil(len(fields) / columns)
    figure, axes = plt.subplots(
        height, columns, figsize=(3.4 * columns, 3.0 * height), layout="constrained", squeeze=False
    )
    for axis, name in zip(axes.flat, fields, strict=False):
        for run, measured in runs.items():
            each = together(measured) if name == TOGETHER else measured.get(name)
            if each is not None:
                values = value(each)
                shown = (values > 0) & (each.counts > 0)
                axis.scatter(each.counts[shown], values[shown], s=6, alpha=0.5, label=run)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(name, fontsize=9)
        axis.grid(alpha=0.3)
        # No common labels: the legend below would hide them.
        axis.set_xlabel("occurrences N", fontsize=8)
        axis.set_ylabel(label, fontsize=8)
    for axis in axes.flat[len(fields) :]:
        axis.axis("off")
    legend_below(figure, axes.flat[0])
    figure.suptitle(title)
    return save_figure(figure, path)


def plot_norms(runs: Mapping[str, RunNorms], path: str, title: str, scored: str) -> str:
    """Draws mean norms and AUC by bucket, and norms by epoch where the runs kept them.

    Args:
        runs: dict from label to `RunNorms`.
        path: string, file to write.
        title: string.
        scored: string, what the AUC is of.

    Returns:
        String, `path`.
    """
    kept = {name: norms for name, norms in runs.items() if norms.epochs}
    panels = 4 if kept else 2
    figure, axes = plt.subplots(1, panels, figsize=(4.4 * panels, 4.2), layout="constrained")
    labels = next(iter(runs.values())).labels
    places = np.arange(len(labels))
    width = 0.8 / len(runs)
    for number, (name, norms) in enumerate(runs.items()):
        offset = (number - (len(runs) - 1) / 2) * width
        axes[0].bar(places + offset, norms.mean, width, label=name)
        axes[1].plot(places, norms.auc, marker="o", label=name)
    axes[0].set_ylabel("mean norm of a row")
    axes[1].set_ylabel(scored)
    for axis, what in zip(axes, ("a row", "the sample's id"), strict=False):
        axis.set_xticks(places, labels, rotation=30, ha="right")
        axis.set_xlabel(f"occurrences of {what} in the training split")
    if kept:
        _draw_epochs(axes[2], axes[3], kept)
    for axis in axes:
        axis.grid(alpha=0.3)
    legend_below(figure, axes[0])
    figure.suptitle(title)
    return save_figure(figure, path)


def _draw_epochs(norms_axis, bound_axis, runs: Mapping[str, RunNorms]) -> None:
    largest = 0.0
    for number, (name, norms) in enumerate(runs.items()):
        style = list(_STYLES)[number % len(_STYLES)]
        epochs = [each["epoch"] for each in norms.epochs]
        kept = dict.fromkeys(label for each in norms.epochs for label in each["mean"])
        for place, label in enumerate(kept):
            means = [each["mean"].get(label, np.nan) for each in norms.epochs]
            largest = max(largest, *means)
            norms_axis.plot(
                epochs,
                means,
                style,
                color=f"C{place % 10}",
                label=None if number else label,
            )
        bounds = [np.nan if each["bound"] is None else each["bound"] for each in norms.epochs]
        bound_axis.plot(epochs, bounds, style, color=f"C{number % 10}", marker="o", label=name)
    if largest > 0:  # rows that decay to almost zero would hide the others
        norms_axis.set_ylim(bottom=_SMALLEST * largest)
    lines = [f"{_STYLES[s]}: {n}" for s, n in zip(_STYLES, runs, strict=False)]
    norms_axis.set_title("\n".join(lines), fontsize=8)
    norms_axis.set_ylabel("mean norm by occurrences")
    norms_axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    bound_axis.set_ylabel("Rademacher bound")
    for axis in (norms_axis, bound_axis):
        axis.set_yscale("log")
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
