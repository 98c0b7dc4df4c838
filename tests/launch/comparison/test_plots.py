"""The axes show the differences between the best; values beyond an axis are written."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from launch.comparison.plots import draw_dots, plot_comparison, plot_models, zoom
from launch.run.history import Epoch, History

WINNERS = {"a": [0.7870, 0.7872], "b": [0.7850, 0.7852], "c": [0.7830, 0.7829]}


@pytest.fixture
def axis():
    matplotlib.use("Agg")
    figure, axis = plt.subplots()
    yield axis
    plt.close(figure)


@pytest.mark.parametrize("larger", [True, False])
@pytest.mark.parametrize("fallen", [0.1, 0.5])
def test_winners_take_the_width_of_the_axis(axis, larger, fallen):
    values = {**WINNERS, "adam": [0.7870 - fallen, 0.7860 - fallen]}
    if not larger:
        values = {label: [1 - v for v in several] for label, several in values.items()}
    draw_dots(axis, values, larger, "rgbk")
    low, high = axis.get_xlim()
    means = [np.mean(values[label]) for label in WINNERS]
    assert low < min(means) and max(means) < high
    assert (max(means) - min(means)) / (high - low) > 0.5
    outside = np.mean(values["adam"])
    assert not low < outside < high
    assert f"{outside:.4f}"[1:] in [text.get_text() for text in axis.texts]
    assert [label.get_text() for label in axis.get_yticklabels()] == [*WINNERS, "adam"]


def test_without_a_loser_every_contender_is_on_the_axis(axis):
    draw_dots(axis, WINNERS, True, "rgb")
    low, high = axis.get_xlim()
    assert all(low < value < high for several in WINNERS.values() for value in several)
    assert not axis.texts


@given(st.lists(st.floats(0.0, 1.0, width=32), min_size=1, max_size=12), st.booleans())
def test_a_zoom_shows_the_best_and_at_least_half_of_the_values(values, larger):
    end = zoom(values, larger)
    sign = 1 if larger else -1
    shown = [value for value in values if sign * (value - end) >= 0]
    assert end in values and max(values, key=lambda v: sign * v) in shown
    assert 2 * len(shown) >= len(values)


def run(*aucs):
    return History(tuple(Epoch(i + 1, 0.5, a, 1 - a, a, 1 - a) for i, a in enumerate(aucs)))


@pytest.mark.parametrize(
    "runs",
    [
        {"adam": [run(0.78)]},
        {"adam": [run(0.78, 0.70), run(0.78)], "helen": [run(0.78, 0.79), run(0.77, 0.78)]},
        {"adam": [run(0.5, 0.5)], "helen": [run(0.5, 0.5)]},
        {"adam": [run(0.78, 0.70), History(())], "bad": [History(()), History(())]},
        {
            f"contender {number}, with a long name": [run(0.7 + number / 100)]
            for number in range(14)
        },
    ],
)
def test_pictures_of_every_shape(tmp_path, runs):
    path = plot_comparison(runs, str(tmp_path / "curves.png"), "clicks: dnn")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG") and path


def test_a_picture_of_several_models(tmp_path):
    none = {label: [] for label in WINNERS}  # every run of this model diverged
    values = {"dnn": WINNERS, "fm": {**WINNERS, "c": []}, "pnn": none}
    plot_models(values, str(tmp_path / "models.png"), "clicks", "AUC, test split")
    assert (tmp_path / "models.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no run has an epoch"):
        plot_comparison({"adam": [History(())]}, str(tmp_path / "curves.png"), "clicks")
