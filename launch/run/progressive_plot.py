"""Plot of a pass over time."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt

from launch.figures import legend_below, save_figure
from launch.run.progressive_history import ProgressiveHistory

_PANELS = (("auc", "AUC"), ("logloss", "LogLoss (nats per row)"))


def plot_pass(runs: dict[str, ProgressiveHistory], path: str, title: str) -> str:
    """Draws AUC and LogLoss against the rows trained so far, and writes a PNG.

    A thick line is the score of all rows so far, a thin line that of each slice.

    Args:
        runs: dict from label to the measurements of a run.
        path: string, file to write.
        title: string, title of the plot.

    Returns:
        The path.

    Raises:
        ValueError: if no run has a slice.

    Example:
        >>> plot_pass({"adam": history}, "progressive.png", "mind5k: dnn")  # doctest: +SKIP
    """
    if not any(history.slices for history in runs.values()):
        raise ValueError("no run has a slice to plot")
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for axis, (metric, label) in zip(axes, _PANELS, strict=True):
        for name, history in runs.items():
            ends = np.cumsum([s.rows for s in history.slices])
            (line,) = axis.plot(
                ends, [getattr(s, f"{metric}_so_far") for s in history.slices],
                linewidth=2, label=name,
            )  # fmt: skip
            each = [getattr(s, metric) for s in history.slices]
            axis.plot(ends, each, linewidth=0.8, alpha=0.6, color=line.get_color())
        _mark_splits(axis, next(iter(runs.values())))
        axis.set_xlabel("rows scored and trained")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    legend_below(figure, axes[0])
    figure.suptitle(f"{title} (thick: all rows so far, thin: each slice)")
    return save_figure(figure, path)


def _mark_splits(axis, history: ProgressiveHistory) -> None:
    """Draws a line where each split but the first begins."""
    end, split = 0, history.slices[0].split
    for s in history.slices:
        if s.split != split:
            axis.axvline(end, color="gray", linestyle=":", linewidth=1)
            axis.annotate(f" {s.split}", (end, 1.0), xycoords=("data", "axes fraction"), va="top")
        end, split = end + s.rows, s.split
