"""WuKong: its shapes, its residual, and settings that raise errors."""

import numpy as np
import pytest
from click_features import features_of

import zoo

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])
SMALL = {"fmb_units": (5,), "hidden_units": (6,), "projection": 3}


def test_the_residual_is_projected_only_where_the_number_of_vectors_changes():
    model = zoo.WuKong(SCHEMA, 4, layers=2, fmb_vectors=3, lcb_vectors=2, **SMALL)
    first, second = model.interactions
    assert first.residual.shape == (2, 5)
    assert second.residual is None
    assert first.compute_output_shape((None, 2, 4)) == (None, 5, 4)
    same = zoo.WuKong(SCHEMA, 4, layers=1, fmb_vectors=1, lcb_vectors=1, **SMALL)
    assert same.interactions[0].residual is None


@pytest.mark.parametrize(
    "schema",
    [
        zoo.Schema("one", [zoo.Categorical("user", 1)]),
        zoo.Schema("number", [], [zoo.Numeric("price")]),
    ],
    ids=lambda schema: schema.name,
)
def test_one_column_is_enough(schema):
    model = zoo.WuKong(schema, 4, layers=2, fmb_vectors=3, lcb_vectors=2, **SMALL)
    assert np.isfinite(model(features_of(schema, 3))).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "`layers` must be an integer >= 1.*0"),
        ({"fmb_vectors": 0}, "`fmb_vectors` must be an integer >= 1.*0"),
        ({"lcb_vectors": -1}, "`lcb_vectors` must be an integer >= 1.*-1"),
        ({"projection": 2.0}, "`projection` must be an integer >= 1.*2.0"),
        ({"fmb_units": 200}, "`fmb_units` must be widths.*200"),
        ({"embedding_dim": 1}, "`embedding_dim` must be an integer >= 2.*1"),
        ({"embedding_dims": {"user": 3}}, "vectors of the same width"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.WuKong(SCHEMA, **arguments)
