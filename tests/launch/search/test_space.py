"""Spaces as text: what they mean, where a setting belongs, and errors."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.run.config import RunConfig
from launch.search.space import Choice, Range, parse_space, places, read_space, settled

CONFIG = RunConfig("data", "out", model="dnn", optimizer="helen")
ENDS = st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)).filter(lambda e: e[0] < e[1])
WHOLE = st.tuples(st.integers(1, 99), st.integers(1, 99)).filter(lambda e: e[0] < e[1])
AXES = st.one_of(
    st.builds(lambda e, log: Range(*e, log), ENDS, st.booleans()),
    st.builds(lambda e, log: Range(*e, log, True), WHOLE, st.booleans()),
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True).map(
        lambda values: Choice(tuple(values))
    ),
    st.just(Choice(((64, 32), (128,), "adam", None, True))),
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), AXES, min_size=1, max_size=4))
def test_a_space_is_read_as_it_was_written(space):
    for separator in (";", ",", "; "):
        text = separator.join(f"{key}={axis}" for key, axis in space.items())
        assert parse_space(text) == space


@given(AXES)
def test_every_value_lies_on_its_axis(axis):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(3):
        value = axis.suggest(study.ask(), "key")
        if isinstance(axis, Choice):
            assert any(value is one or value == one for one in axis.values)
        else:
            assert axis.low <= value <= axis.high
            assert isinstance(value, int) == axis.whole


def test_yaml_says_the_same():
    found = read_space(
        {"rho": [0.01, "5e-2"], "learning_rate": "log(1e-4, 1e-2)", "hidden_units": [[8], [8, 4]]},
        "here",
    )
    text = "rho=[0.01,0.05];learning_rate=log(1e-4,1e-2);hidden_units=[(8,),(8,4)]"
    assert found == parse_space(text) == read_space(text, "here")


def test_settings_reach_the_model_the_optimizer_and_the_run():
    space = parse_space("rho=[0.1,0.2];dropout=uniform(0,0.5);batch_size=[64];learning_rate=[1.0]")
    assert places(space, CONFIG) == {
        "rho": ("optimizer", "rho"),
        "dropout": ("model", "dropout"),
        "batch_size": ("run", "batch_size"),
        "learning_rate": ("run", "learning_rate"),
    }
    values = {"rho": 0.2, "dropout": 0.25, "batch_size": 64, "learning_rate": 1.0}
    config = settled(CONFIG, space, values)
    assert config.optimizer_args == {"rho": 0.2} and config.model_args == {"dropout": 0.25}
    assert config.batch_size == 64 and config.learning_rate == 1.0


def test_arguments_of_the_base_optimizer_and_of_the_tower():
    given = {"base_optimizer": "adamar", "tower_optimizer": "adam"}
    config = RunConfig("data", "out", optimizer="helen", optimizer_args=given)
    space = parse_space("alpha=log(1e-5,1e-3);tower_learning_rate=log(1e-4,1e-2)")
    assert {place for place, _ in places(space, config).values()} == {"optimizer"}


def test_a_name_may_say_whose_it_is():
    config = RunConfig("data", "out", model="dnn", optimizer="adam")
    found = places(parse_space("model.dropout=[0.1];optimizer.epsilon=[1e-7]"), config)
    assert found == {
        "model.dropout": ("model", "dropout"),
        "optimizer.epsilon": ("optimizer", "epsilon"),
    }
    with pytest.raises(ValueError, match="neither dnn nor adam"):
        places(parse_space("optimizer.dropout=[0.1]"), config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no settings"),
        ("rho", "cannot read"),
        ("rho=0.1", "cannot read"),
        ("rho=lin(0,1)", "cannot read"),
        ("rho=log(0,1)", "must begin above 0"),
        ("rho=log(1,0.1)", "ascending"),
        ("rho=log(1)", "two numbers"),
        ("rho=log(a,b)", "two numbers"),
        ("n=int(1,2.5)", "integers"),
        ("rho=[]", "no values"),
        ("rho=[1,1]", "twice"),
        ("rho=[1];rho=[2]", "twice"),
    ],
)
def test_bad_spaces_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_space(text)


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(ValueError, match=r"neither dnn nor helen.*Did you mean 'rho'"):
        places(parse_space("rhoo=[1]"), CONFIG)
    with pytest.raises(ValueError, match="from setting to axis"):
        read_space([1], "here")
