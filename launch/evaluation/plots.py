"""Plots of calibration, and of AUC by frequency."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt

from launch.evaluation.result import Evaluation
from launch.figures import legend_below, marker_of, save_figure


def plot_calibration(found: Evaluation, path: str, title: str) -> str:
    """Draws the observed against the predicted probability, by quantile bin of the prediction.

    Args:
        found: `Evaluation`.
        path: string, file to write.
        title: string.

    Returns:
        String, `path`.
    """
    figure, axis = plt.subplots(figsize=(5.6, 5.6), layout="constrained")
    ends = []
    for place, label in enumerate(found.labels):
        bins = [each for each in found.calibration[label] if each["weight"]]
        predicted, observed, low, high = (
            np.array([each[name] for each in bins])
            for name in ("predicted", "observed", "observed_low", "observed_high")
        )
        errors = None
        if not np.isnan(low).all():
            errors = np.maximum(np.nan_to_num([observed - low, high - observed]), 0.0)
        axis.errorbar(
            predicted, observed, yerr=errors, marker=marker_of(place), markersize=4,
            linewidth=1, capsize=2, label=label,
        )  # fmt: skip
        ends += [predicted, observed[observed > 0]]
    known = np.concatenate(ends)
    low, high = known.min(), known.max()
    first = min(each.min() for each in ends[::2])
    last = max(each.max() for each in ends[::2])
    axis.plot([low, high], [low, high], "--", color="gray", linewidth=1, label="calibrated")
    if first > 0 and last / first > 10:
        axis.set_xscale("log")
        axis.set_yscale("log", nonpositive="clip")
    axis.set_xlabel("mean predicted probability of a bin")
    axis.set_ylabel("observed share of positives")
    axis.grid(alpha=0.3)
    legend_below(figure, axis)
    figure.suptitle(title)
    return save_figure(figure, path)


def plot_frequency(found: Evaluation, path: str, title: str, whose: str) -> str:
    """Draws AUC by bucket of occurrences, with the intervals.

    Args:
        found: `Evaluation`.
        path: string, file to write.
        title: string.
        whose: string, whose occurrences: "the rarest id" or "the id of <field>".

    Returns:
        String, `path`.
    """
    buckets = [each for each in found.frequency if each["rows"]]
    places = np.arange(len(buckets))
    height = max(3.4, 0.55 * len(places) + 1.4)
    figure, axis = plt.subplots(figsize=(5.6, height), layout="constrained")
    spread = 0.5 / max(1, len(found.labels))
    for number, label in enumerate(found.labels):
        scores = [found.scores[label][f"auc/{each['occurrences']}"] for each in buckets]
        value, low, high = (
            np.array([getattr(score, name) for score in scores])
            for name in ("value", "low", "high")
        )
        errors = None
        if not np.isnan(low).all():
            errors = np.maximum(np.nan_to_num([value - low, high - value]), 0.0)
        axis.errorbar(
            value, places + (number - (len(found.labels) - 1) / 2) * spread, xerr=errors,
            marker=marker_of(number), linestyle="none", capsize=3, label=label,
        )  # fmt: skip
    names = [f"{each['occurrences']} ({each['rows']:,} rows)" for each in buckets]
    axis.set_yticks(places, names)
    axis.set_ylim(len(places) - 0.4, -0.6)
    axis.set_ylabel(f"occurrences of {whose}\nin the training split")
    axis.set_xlabel("AUC")
    axis.grid(alpha=0.3)
    legend_below(figure, axis)
    figure.suptitle(title)
    return save_figure(figure, path)
