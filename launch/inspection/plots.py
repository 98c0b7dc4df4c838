"""Plots of the ages and counts of the ids of dynamic tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from launch.figures import legend_below, save_figure

_MOST = 8  # fields in one plot


def plot_state(state: Mapping[str, Mapping[str, Any]], path: str, title: str) -> str:
    """Draws histograms of the ages and counts of a table's ids, a line per field.

    Of many fields, those with the most ids are drawn.

    Args:
        state: result of `DynamicEmbedding.table_state`.
        path: string, file to write.
        title: string.

    Returns:
        String, `path`.
    """
    fields = sorted(state, key=lambda name: -len(state[name]["row"]))[:_MOST]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, what, label in (
        (axes[0], "age", "age + 1: updates since the last occurrence, + 1"),
        (axes[1], "count", "count: occurrences since the id was admitted"),
    ):
        largest = max((int(state[name][what].max(initial=0)) for name in fields), default=0) + 1
        # A bin per power of 2; the first one has the value 1.
        edges = 2.0 ** np.arange(max(1, math.ceil(math.log2(largest + 1))) + 1)
        for name in fields:
            values = state[name][what] + (what == "age")
            axis.stairs(np.histogram(values, edges)[0], edges, label=name, linewidth=1.5)
        axis.set_xscale("log", base=2)
        axis.set_xlabel(label)
        axis.set_ylabel("ids")
        axis.set_ylim(bottom=0)
    figure.suptitle(title)
    legend_below(figure, axes[0])
    return save_figure(figure, path)
