"""What all plots share: the backend, the markers and how a figure is written."""

from __future__ import annotations

import io

import matplotlib

from zoo.data.files import write_bytes

matplotlib.use("Agg")  # no display is needed to write a file
from matplotlib import pyplot as plt

_MARKERS = "osD^vPX*"


def marker_of(place: int) -> str:
    """Returns the marker of a contender: those of the first eight differ."""
    return _MARKERS[place % len(_MARKERS)]


def legend_below(figure: plt.Figure, axis: plt.Axes) -> None:
    """Adds the legend of a panel below all panels of its figure."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, min(4, len(labels))))


def save_figure(figure: plt.Figure, path: str) -> str:
    """Writes a figure as a PNG file, closes it, and returns the path."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=130)
    plt.close(figure)
    write_bytes(path, image.getvalue())
    return path
