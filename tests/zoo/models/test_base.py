"""`ClickModel`: settings, arguments, and models made from others."""

import inspect

import keras
import numpy as np
import pytest
from zoo_cases import MODELS, SCHEMA, batch, shared

import zoo
from zoo.models.arguments import ModelArguments


@keras.saving.register_keras_serializable(package="tests")
class Tower(zoo.ClickModel):
    """A model of one hidden layer."""

    def __init__(self, schema, embedding_dim=16, *, units=8, **kwargs):
        super().__init__(schema, embedding_dim, **kwargs)
        self.embedding = self.embed(flat=True)
        self.mlp = self.deep_part((units,))
        self.output_unit = self.output_layer()
        self.finish(units=units)

    def logits(self, features, training):
        return self.output_unit(self.mlp(self.embedding(features), training=training))


@keras.saving.register_keras_serializable(package="tests")
class Corrected(zoo.DeepFM):
    """DeepFM plus the logit of another layer."""

    def __init__(self, schema, embedding_dim=16, *, units=3, hidden_units=(5,), **kwargs):
        self.correction = keras.layers.Dense(units, name="correction")
        super().__init__(schema, embedding_dim, hidden_units=hidden_units, **kwargs)
        self.finish(units=units)

    def logits(self, features, training):
        embedded = self.side_by_side(self.embedding(features), features)
        correction = keras.ops.sum(self.correction(embedded), axis=1, keepdims=True)
        return super().logits(features, training) + correction


class Forgetful(Tower):
    """A model that does not record its argument."""

    def __init__(self, schema, embedding_dim=16, *, depth=1, **kwargs):
        super().__init__(schema, embedding_dim, **kwargs)


@pytest.mark.parametrize("name", MODELS)
def test_every_argument_of_a_model_is_recorded(name):
    model = shared(name)
    assert set(model.settings) == set(type(model).arguments())
    defaults = {key for key, value in model.settings.items() if value == model.arguments()[key]}
    assert "embedding_dims" in defaults and "embedding_dim" not in defaults


def test_the_arguments_of_a_model_are_its_own_and_those_of_every_model():
    arguments = zoo.DeepFM.arguments()
    assert list(arguments)[:2] == ["embedding_dim", "hidden_units"]
    assert arguments["hidden_units"] == (200, 200)
    assert {key: arguments[key] for key in zoo.ClickModel.arguments()} == {
        **{"embedding_dim": 16, "embedding_dims": None, "numeric": "embedded"},
        **{"embedding_l2": 0.0, "embeddings_initializer": None, "shards": 1},
        **{"dynamic": None, "embeddings_dtype": None, "rounding": "stochastic"},
    }
    assert zoo.DIN.arguments()["embedding_dim"] == 12


def test_the_common_arguments_are_those_of_the_base_class():
    parameters = inspect.signature(zoo.ClickModel).parameters.values()
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert list(ModelArguments.__annotations__) == named


@pytest.mark.parametrize("make", [Tower, Corrected])
def test_a_model_of_ones_own_is_built_saved_and_loaded(make, tmp_path):
    model = make(SCHEMA, 4, units=6, embedding_l2=1e-3)
    assert model.built and model.settings["units"] == 6
    features, _ = batch()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(again(features), model(features))


def test_a_subclass_adds_to_the_settings_and_weights_of_its_base():
    model = Corrected(SCHEMA, 4)
    assert model.settings["hidden_units"] == (5,)
    added = model.count_params() - zoo.DeepFM(SCHEMA, 4, hidden_units=(5,)).count_params()
    assert added == (model.columns * 4 + 1) * 3


def test_a_setting_that_was_not_recorded_is_named_when_the_model_is_saved(tmp_path):
    model = Forgetful(SCHEMA, 4, depth=2)
    with pytest.raises(NotImplementedError, match=r"Forgetful.*'depth'.*self\.finish\(depth="):
        model.save(tmp_path / "model.keras")


def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match="hiden_units"):
        zoo.DNN(SCHEMA, hiden_units=(8,))
