"""Models whose tables give rows to ids when they occur."""

import numpy as np
import pytest
from click_features import features_of

import tf_helen
import zoo
from tf_helen import keras_access
from tf_helen.layers import DynamicEmbedding
from zoo.layers.dynamic_tables import divided

SCHEMA = zoo.Schema(
    "s",
    [
        zoo.Categorical("item", 50),
        zoo.Categorical("history", 50, length=3, shares="item"),
        zoo.Categorical("day", 7),
        zoo.Categorical("user", 90),
    ],
)


def tables(model):
    return [layer for layer in keras_access.layers_of(model) if isinstance(layer, DynamicEmbedding)]


def test_small_fields_get_a_row_for_each_id_and_the_others_equal_parts():
    sizes = {"item": 50, "day": 7, "user": 90}
    assert divided(47, sizes) == {"item": 20, "day": 7, "user": 20}
    assert divided(1000, sizes) == sizes
    assert divided({"user": 30}, sizes) == {"item": 50, "day": 7, "user": 30}


def test_every_table_of_a_model_is_dynamic():
    model = zoo.DeepFM(SCHEMA, 4, hidden_units=(8,), dynamic={"capacity": 47, "eviction": "l2"})
    found = tables(model)
    assert [layer.capacity["user"] for layer in found] == [20, 20]
    assert found[0].capacity["history"] == 20
    again = type(model).from_config(model.get_config())
    assert [layer.get_config() for layer in tables(again)] == [x.get_config() for x in found]


def test_ids_get_rows_in_training():
    model = zoo.DNN(SCHEMA, 4, hidden_units=(8,), dynamic=47)
    model.compile(tf_helen.Adam(), "mse")
    features = features_of(SCHEMA, 40)
    model.fit(features, np.ones((40, 1)), batch_size=8, verbose=0)
    (table,) = tables(model)
    state = table.table_state()
    assert set(state) == {"item", "day", "user"}
    assert len(state["user"]["id"]) == 20
    assert set(state["user"]["id"]) <= set(features["ids"][:, -1])


@pytest.mark.parametrize(
    ("dynamic", "message"),
    [
        (2, "at least the number of fields, 3. Received: 2"),
        (0, "`dynamic` must be an integer >= 1"),
        ({"eviction": "age"}, "`dynamic` needs a capacity"),
        ({"capacity": 50, "evict": "age"}, "Did you mean 'eviction'"),
        ({"capacity": {"city": 3}}, "field of capacity.*city"),
    ],
)
def test_wrong_settings_raise_an_error(dynamic, message):
    with pytest.raises(ValueError, match=message):
        zoo.DNN(SCHEMA, 4, dynamic=dynamic)
