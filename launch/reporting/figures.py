"""The figures of a report, as SVG; each has one panel, so that it is readable on a phone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from launch.analysis.norms import RunNorms
from launch.figures import legend_below, marker_of, save_figure
from launch.run.history import Epoch
from launch.run.progressive_history import SliceScores

_SIZE = (5.4, 3.9)  # inches
_PLACES = {"auc": "AUC", "logloss": "LogLoss (nats per row)"}


def svg(draw: Callable[[str], str]) -> bytes:
    """Returns the SVG that a function writes to a file.

    Args:
        draw: function that takes the path of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        return Path(draw(os.path.join(folder, "figure.svg"))).read_bytes()


def epoch_curve(epochs: Sequence[Epoch], metric: str) -> bytes:
    """Draws a score after each epoch: of the validation and test split, and the training loss.

    Args:
        epochs: sequence of `Epoch`, at least one.
        metric: "auc" or "logloss".

    Returns:
        SVG as bytes.
    """
    figure, axis = plt.subplots(figsize=_SIZE, layout="constrained")
    x = [epoch.epoch for epoch in epochs]
    lines = {
        "validation": [getattr(epoch, f"valid_{metric}") for epoch in epochs],
        "test": [getattr(epoch, f"test_{metric}") for epoch in epochs],
    }
    if metric == "logloss":
        lines["training loss"] = [epoch.loss for epoch in epochs]
    for place, (name, values) in enumerate(lines.items()):
        if any(value is not None for value in values):
            known = [np.nan if value is None else value for value in values]
            axis.plot(x, known, marker=marker_of(place), label=name)
    axis.set_xlabel("epoch (passes over the training data)")
    axis.set_ylabel(_PLACES[metric])
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _written(figure, axis)


def slice_curve(slices: Sequence[SliceScores], metric: str) -> bytes:
    """Draws a score of each slice of a pass over time, and of all rows up to its end.

    Args:
        slices: sequence of `SliceScores`, at least one.
        metric: "auc" or "logloss".

    Returns:
        SVG as bytes.
    """
    figure, axis = plt.subplots(figsize=_SIZE, layout="constrained")
    ends = np.cumsum([each.rows for each in slices])
    all_rows = [getattr(each, f"{metric}_so_far") for each in slices]
    axis.plot(ends, all_rows, linewidth=2, label="all rows so far")
    own = [getattr(each, metric) for each in slices]
    axis.plot(ends, own, linewidth=0.9, alpha=0.7, color="C0", label="each slice")
    axis.set_xlabel("rows scored and trained")
    axis.set_ylabel(_PLACES[metric])
    return _written(figure, axis)


def norms_by_frequency(norms: RunNorms) -> bytes:
    """Draws the mean norm of the rows of each bucket of occurrences; returns SVG as bytes."""
    figure, axis = plt.subplots(figsize=_SIZE, layout="constrained")
    places = np.arange(len(norms.labels))
    axis.barh(places, norms.mean, 0.7)
    names = [
        f"{label} ({rows:,} rows)" for label, rows in zip(norms.labels, norms.rows, strict=True)
    ]
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.set_xlabel("mean norm of an embedding row")
    axis.set_ylabel("occurrences in the training split")
    axis.grid(axis="x", alpha=0.3)
    return svg(lambda path: save_figure(figure, path))


def norms_by_epoch(norms: RunNorms) -> bytes:
    """Draws the mean norms after each epoch, as the callback `embedding_norms` measured them."""
    figure, axis = plt.subplots(figsize=_SIZE, layout="constrained")
    epochs = [each["epoch"] for each in norms.epochs]
    labels = dict.fromkeys(label for each in norms.epochs for label in each["mean"])
    for place, label in enumerate(labels):
        means = [each["mean"].get(label, np.nan) for each in norms.epochs]
        axis.plot(epochs, means, marker=marker_of(place), label=label)
    axis.set_xlabel("epoch (passes over the training data)")
    axis.set_ylabel("mean norm of an embedding row")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _written(figure, axis)


def _written(figure: plt.Figure, axis: plt.Axes) -> bytes:
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.grid(alpha=0.3)
    legend_below(figure, axis)
    return svg(lambda path: save_figure(figure, path))
