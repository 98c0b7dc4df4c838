"""What all plots share: the backend, the markers and how a figure is written."""

from __future__ import annotations

import io

import matplotlib

from zoo.data.files import write_bytes

matplotlib.use("Agg")  # no display is needed to write a file
from matplotlib import pyplot as plt
from matplotlib.text import Text

matplotlib.rcParams["svg.hashsalt"] = "tf-helen"  # equal figures have equal bytes

_FORMULA = "\\mathdefault"  # in the labels of logarithmic axes
_MARKERS = "osD^vPX*"


def marker_of(place: int) -> str:
    """Returns the marker of a contender: those of the first eight differ."""
    return _MARKERS[place % len(_MARKERS)]


def legend_below(figure: plt.Figure, axis: plt.Axes) -> None:
    """Adds the legend of a panel below all panels of its figure."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, min(4, len(labels))))


def save_figure(figure: plt.Figure, path: str) -> str:
    """Writes a figure, closes it, and returns the path; ".svg" at its end: SVG, else PNG."""
    for text in figure.findobj(Text):
        # Names of data sets and settings may hold a "$"; powers of ten of an axis are formulas.
        if "$" in text.get_text() and _FORMULA not in text.get_text():
            text.set_parse_math(False)
    image, is_svg = io.BytesIO(), path.endswith(".svg")
    # Without the date, equal figures have equal bytes.
    how = {"format": "svg", "metadata": {"Date": None}} if is_svg else {"format": "png"}
    figure.savefig(image, dpi=130, **how)
    plt.close(figure)
    write_bytes(path, image.getvalue())
    return path
