"""The plot of AUC against the share of zero rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt

from launch.comparison.plots import colors_of, zoom
from launch.comparison.statistics import confidence_interval
from launch.figures import marker_of, save_figure


def plot_tradeoff(
    shares: Mapping[str, float],
    scores: Mapping[str, Sequence[float | None]],
    families: Mapping[str, str],
    path: str,
    title: str,
    split: str,
) -> str:
    """Draws the AUC against the share of zero rows, a line per family of contenders.

    A point is the mean over seeds with its 95 % confidence interval (Student's). A contender
    without a family is a single point, with a dashed line at its AUC. Points far below the others
    are left out, and their number is written into the legend.

    Args:
        shares: dict from label to the mean share of zero rows, from 0 to 1.
        scores: dict from label to the AUC of each seed; `None` for a run without one.
        families: dict from label to family, "" for none.
        path: file to write.
        title: string, title of the plot.
        split: string, the split of the scores.

    Returns:
        The path.

    Example:
        >>> plot_tradeoff({"adam": 0.0}, {"adam": [0.78]}, {"adam": ""}, "a.png", "frappe", "test")
        ... # doctest: +SKIP
    """
    known = {label: [v for v in scores[label] if v is not None] for label in shares}
    means = {label: sum(v) / len(v) for label, v in known.items() if v}
    end = zoom(list(means.values()) or [0.0])
    lines: dict[str, list[str]] = {}
    for label in means:
        lines.setdefault(families.get(label) or label, []).append(label)
    figure, axis = plt.subplots(figsize=(9.5, 5), layout="constrained")
    for place, (name, labels) in enumerate(lines.items()):
        color = colors_of(len(lines))[place]
        shown = sorted((label for label in labels if means[label] >= end), key=shares.get)
        hidden = len(labels) - len(shown)
        x = [100 * shares[label] for label in shown]
        y = [means[label] for label in shown]
        bars = [confidence_interval(known[label]) for label in shown]
        axis.errorbar(
            x, y, [[m - low for m, (low, _) in zip(y, bars, strict=True)],
                   [high - m for m, (_, high) in zip(y, bars, strict=True)]],
            marker=marker_of(place), color=color, capsize=3,
            label=name + (f" ({hidden} below)" if hidden else ""),
        )  # fmt: skip
        if len(labels) == 1 and y:
            axis.axhline(y[0], color=color, linestyle="--", linewidth=1, alpha=0.6)
    axis.set_xlabel("rows of the embedding table that are zero, in percent")
    axis.set_ylabel(f"AUC, {split} split, epoch chosen by validation")
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    axis.set_title(title)
    return save_figure(figure, path)
