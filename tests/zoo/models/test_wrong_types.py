"""Settings of a wrong type raise an error with the value and what is allowed."""

import pytest

import zoo

SCHEMA = zoo.Schema(
    "shop",
    [
        zoo.Categorical("item", 8),
        zoo.Categorical("user", 10),
        zoo.Categorical("items", 8, length=3, shares="item"),
    ],
)
RATES = r"`dropout`.* must be a number in \[0, 1\).*"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("finalnet", {"distillation": "x"}, "`distillation` must be a number >= 0.*'x'"),
        ("finalnet", {"distillation": None}, "`distillation` must be a number >= 0.*None"),
        ("afn", {"floor": "a"}, "`floor` must be a number above 0.*'a'"),
        ("edcn", {"temperature": None}, "`temperature` must be a number above 0.*None"),
        ("dnn", {"dropout": None}, RATES + "None"),
        ("dnn", {"dropout": "x", "hidden_units": (4,)}, RATES + "'x'"),
        ("dnn", {"dropout": "x", "hidden_units": ()}, RATES + "'x'"),
        ("dnn", {"dropout": (0.1, None)}, RATES + "None"),
        ("dnn", {"dropout": [[0.1, 0.2]], "hidden_units": (4,)}, RATES + r"\[\[0.1, 0.2\]\]"),
        ("masknet", {"dropout": None}, RATES + "None"),
        ("autoint", {"attention_dropout": None}, RATES + "None"),
        ("dcnv3", {"linear_dropout": "x"}, RATES + "'x'"),
        ("din", {"attention_dropout": "x"}, RATES + "'x'"),
        ("finalmlp", {"first_context": None}, "`first_context` must be distinct names.*None"),
        ("finalmlp", {"second_context": 5, "gates": False}, "`second_context` must be.*names.*5"),
        ("finalmlp", {"first_context": [["user"]]}, "`first_context` must be distinct names"),
        ("din", {"targets": [1], "sequences": ["items"]}, r"`targets`.*such as \['item'\].*\[1\]"),
        ("din", {"targets": 5, "sequences": ["items"]}, "`targets` must be a list of names.*5"),
        ("din", {"targets": ["item"], "sequences": [("items", 1)]}, "`sequences` must be.*1"),
    ],
)
def test_settings_of_a_wrong_type_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        zoo.get(name)(SCHEMA, embedding_dim=2, **settings)
