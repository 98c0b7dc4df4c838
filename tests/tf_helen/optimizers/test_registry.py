"""Optimizers and their classes by name."""

import pytest

import tf_helen
from tf_helen import optimizers


@pytest.mark.parametrize("cls", optimizers.CLASSES)
def test_every_class_has_a_name(cls):
    assert optimizers.get_class(cls.__name__) is cls


@pytest.mark.parametrize("name", ["adamar", "AdamAR", "adam_ar", " Adam-AR "])
def test_case_and_separators_make_no_difference(name):
    assert optimizers.get_class(name) is type(optimizers.get(name)) is tf_helen.AdamAR


@pytest.mark.parametrize("get", [optimizers.get, optimizers.get_class])
def test_an_unknown_name_suggests_the_nearest(get):
    with pytest.raises(ValueError, match=r"'adamm'\. Did you mean 'adam'\? Known: adagrad"):
        get("adamm")
    with pytest.raises(ValueError, match=r"Adam takes no base optimizer.*'adam"):
        get("adam(sgd)")
    with pytest.raises(ValueError, match="closing parenthesis"):
        get("helen(adam")


def test_a_base_in_brackets_is_no_class():
    with pytest.raises(ValueError, match=r"optimizers\.get\('helen\(adam\)'\).*get_class\('helen'"):
        optimizers.get_class("helen(adam)")
