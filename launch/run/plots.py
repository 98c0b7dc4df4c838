"""Plots of learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from launch.figures import marker_of, save_figure
from launch.run.history import Epoch

_LEGEND_WIDTH = 140  # characters that fit side by side


def plot_runs(runs: Mapping[str, Sequence[Sequence[Epoch]]], path: str, title: str) -> str:
    """Draws AUC and LogLoss per epoch, one line per name, and writes a PNG file.

    Args:
        runs: dict from name to runs (one per seed), each a sequence of `Epoch`. Several runs are
            drawn as their mean, with a band of one sample standard deviation.
        path: string, file to write.
        title: string, title of the plot, such as the data set and the model.

    Returns:
        String, `path`.

    Raises:
        ValueError: if there is nothing to draw.

    Example:
        >>> plot_runs({"adam": [history.epochs]}, "curves.png", "frappe")  # doctest: +SKIP
    """
    if not any(epochs for several in runs.values() for epochs in several):
        raise ValueError("there is no epoch to plot; train at least one")
    everything = [e for several in runs.values() for epochs in several for e in epochs]
    split = "test" if all(e.test_auc is not None for e in everything) else "valid"
    what = {"test": "test split", "valid": "validation split"}[split]
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    panels = (("auc", f"AUC, {what}"), ("logloss", f"LogLoss, {what} (nats per row)"))
    for axis, (metric, label) in zip(axes, panels, strict=True):
        for place, (name, several) in enumerate(runs.items()):
            _draw(axis, name, several, f"{split}_{metric}", marker_of(place))
        axis.set_xlabel("epoch (passes over the training data)")
        axis.set_ylabel(label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    columns = max(1, min(len(labels), _LEGEND_WIDTH // (max(map(len, labels)) + 6)))
    # Below the panels: inside, it would cover the ends of curves.
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    figure.suptitle(title)
    return save_figure(figure, path)


def _draw(axis, name: str, several: Sequence[Sequence[Epoch]], value: str, marker: str) -> None:
    longest = max(len(epochs) for epochs in several)
    # Runs that stopped early leave gaps.
    values = np.full((len(several), longest), np.nan)
    for row, epochs in enumerate(several):
        values[row, : len(epochs)] = [getattr(epoch, value) for epoch in epochs]
    x = np.arange(1, longest + 1)
    mean = np.nanmean(values, axis=0)
    label = f"{name} ({len(several)} seeds)" if len(several) > 1 else name
    (line,) = axis.plot(x, mean, marker=marker, label=label)
    if len(several) > 1:
        deviation = np.nanstd(values, axis=0, ddof=1)
        axis.fill_between(x, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.2)
