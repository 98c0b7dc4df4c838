"""Plot of the days."""

from __future__ import annotations

from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from launch.continual.results import KEPT, DaysResult
from launch.figures import legend_below, save_figure

_PANELS = (("auc", "AUC"), ("logloss", "LogLoss (nats per row)"))


def plot_days(result: DaysResult, path: str, title: str) -> str | None:
    """Draws AUC and LogLoss of each day before its training, and writes a PNG.

    Args:
        result: `DaysResult`.
        path: string, file to write.
        title: string, title of the plot.

    Returns:
        The path; `None` if no day was scored.

    Example:
        >>> plot_days(result, "days.png", "mind5k: dnn")  # doctest: +SKIP
    """
    scored = [day for day in result.days if day.scores]
    if not scored:
        return None
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    numbers = [day.day for day in scored]
    for axis, (metric, label) in zip(axes, _PANELS, strict=True):
        each = [day.scores[metric] for day in scored]
        axis.plot(numbers, each, "o-", linewidth=1, label="each day")
        so_far = [day.so_far[metric] for day in scored]
        axis.plot(numbers, so_far, linewidth=2, label="all days so far")
        lost = [(day.day, day.scores[metric]) for day in scored if day.status != KEPT]
        if lost:
            axis.plot(*zip(*lost, strict=True), "rx", markersize=10, label="day not kept")
        axis.set_xlabel("day")
        axis.set_ylabel(label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    legend_below(figure, axes[0])
    figure.suptitle(f"{title} (each day is scored before it is trained)")
    return save_figure(figure, path)
