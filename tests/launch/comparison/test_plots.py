"""The axes show the differences between the best; values beyond an axis are written."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from launch.comparison.plots import curve_axis, draw_dots, plot_comparison, plot_models, zoom
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


@pytest.mark.parametrize("seed", range(5))
def test_no_curve_lies_where_the_numbers_of_values_beyond_the_axis_are(seed):
    rng = np.random.default_rng(seed)
    curves = [0.6 + rng.exponential(0.05, size=rng.integers(1, 6)) ** 2 for _ in range(4)]
    end, limit = curve_axis(curves, larger_is_better=False)
    values = np.concatenate(curves)
    assert end in values and limit > end
    assert not ((values > end) & (values <= limit)).any()
    # A loss is the negative of a score.
    assert curve_axis([-curve for curve in curves]) == (-end, -limit)


def test_a_value_just_beyond_the_axis_is_drawn():
    # The demo's LogLoss: .7108 was both a marker and a number over it.
    curves = [
        np.array([0.598, 0.6845, 1.0668, 1.5445]),
        np.array([0.6, 0.6015, 0.619, 0.678]),
        np.array([0.6055, 0.597, 0.6005, 0.7108]),
    ]
    end, limit = curve_axis(curves, larger_is_better=False)
    assert end == 0.7108 and end < limit < 1.0668
