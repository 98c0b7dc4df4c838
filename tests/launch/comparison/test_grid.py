"""Grids as text: their values, errors, and the sample of a budget."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.comparison.grid import parse_contenders, parse_grid, points

WORDS = st.sampled_from(["adam", "adamar", "helen(adamar)", "dataset", "a.b"])
VALUES = st.one_of(
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    WORDS,
    st.tuples(st.integers(0, 99), st.integers(0, 99)),
    st.lists(st.integers(0, 99), min_size=2, max_size=3),
)
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


def same(one, other):
    return one == other and type(one) is type(other)


def distinct(values):
    return all(not same(a, b) for place, a in enumerate(values) for b in values[:place])


AXES = st.dictionaries(
    KEYS, st.lists(VALUES, min_size=1, max_size=4).filter(distinct).map(tuple), max_size=4
)


@given(AXES, st.sampled_from([",", ", ", " , "]))
def test_a_grid_is_read_as_it_was_written(axes, comma):
    text = comma.join(f"{key}=[{comma.join(map(str, axis))}]" for key, axis in axes.items())
    found = parse_grid(text)
    assert list(found) == list(axes)
    for key, axis in axes.items():
        assert len(found[key]) == len(axis)
        assert all(same(one, other) for one, other in zip(found[key], axis, strict=True))


@given(st.text(st.sampled_from("ab=[](),;:'\"1.e- "), max_size=24))
def test_any_text_is_read_or_refused_with_a_message(text):
    try:
        found = parse_grid(text)
    except ValueError as error:
        assert any(word in str(error) for word in ("cannot read", "twice", "no values"))
    else:
        assert all(key.isidentifier() and len(values) >= 1 for key, values in found.items())


@given(AXES, AXES, st.integers(1, 40), st.integers(0, 3))
def test_the_points_are_the_product_and_a_budget_takes_a_sample_of_it(own, common, budget, seed):
    (adam,) = parse_contenders("adam")
    contender = type(adam)("c", "adam", {}, own)
    everything = points(contender, common)
    others = {key: values for key, values in common.items() if key not in own}
    axes = [*own.values(), *others.values()]
    assert len(everything) == math.prod(map(len, axes))
    keys = [(str(p.optimizer_args), str(p.common)) for p in everything]
    assert len(set(keys)) == len(keys)
    sample = points(contender, common, budget, seed)
    assert len(sample) == min(budget, len(everything))
    places = [keys.index((str(p.optimizer_args), str(p.common))) for p in sample]
    assert places == sorted(set(places))
    assert sample == points(contender, common, budget, seed)


def test_the_last_axis_varies_fastest_and_the_contender_s_own_axis_replaces_a_common_one():
    (helen,) = parse_contenders("helen:rho=[0.01,0.05],learning_rate=1e-3")
    found = points(helen, {"learning_rate": (0.1, 0.2), "embedding_l2": (0, 1e-5)})
    assert [point.text for point in found] == [
        "rho=0.01, embedding_l2=0",
        "rho=0.01, embedding_l2=1e-05",
        "rho=0.05, embedding_l2=0",
        "rho=0.05, embedding_l2=1e-05",
    ]
    assert found[1].optimizer_args == {"learning_rate": 1e-3, "rho": 0.01}
    assert found[1].common == {"embedding_l2": 1e-5}


def test_samples_differ_between_contenders_and_seeds():
    grid = {"embedding_l2": tuple(range(100))}
    adam, helen = parse_contenders("adam;helen")
    texts = [
        [point.text for point in points(contender, grid, 10, seed)]
        for contender, seed in ((adam, 0), (helen, 0), (adam, 1))
    ]
    assert texts[0] != texts[1] and texts[0] != texts[2]


def test_labels_name_what_does_not_vary_unless_two_are_then_alike():
    def labels(text):
        return [contender.label for contender in parse_contenders(text)]

    assert labels("helen:rho=0.01;helen:rho=[0.1,0.2],norm=table") == [
        "helen(rho=0.01)",
        "helen(norm=table)",
    ]
    assert labels("adam:learning_rate=[0.1,0.2];adam") == [
        "adam(learning_rate=[0.1, 0.2])",
        "adam",
    ]
    assert labels("A=adam;B = adam:learning_rate=[0.1,0.2]") == ["A", "B"]
    assert labels("adam, adamar") == ["adam", "adamar"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adam:learning_rate=[]", "no values"),
        ("adam:learning_rate=[0.1,0.1]", "twice"),
        ("adam:learning_rate=[0.1,fast+]", "cannot read"),
        ("adam:learning_rate", "cannot read"),
        ("helen:rho=[0.01,-1]", "rho"),
        ("helen:rh=[0.01,0.1]", "did you mean 'rho'|Did you mean 'rho'"),
        ("adm:learning_rate=[0.1,0.2]", "adam"),
        ("adam;adam", "each only once"),
        ("A=adam;A=adamar", "each only once"),
        ("a b=adam;a_b=adamar", "punctuation"),
        ("", "at least one"),
    ],
)
def test_bad_grids_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_contenders(text)


def test_a_budget_is_a_positive_integer():
    (adam,) = parse_contenders("adam:learning_rate=[0.1,0.2]")
    with pytest.raises(ValueError, match="budget"):
        points(adam, {}, budget=0)
