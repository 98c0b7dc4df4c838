"""One table over all models of the zoo: small settings, by name of the argument, and schemas."""

import functools

import keras
import numpy as np
from click_features import features_of

import zoo

MODELS = [entry.name for entry in zoo.list_models()]
# A linear model, an MLP beside products, crosses, histories, two streams, logarithms, attention,
# and a part for numbers.
KINDS = ("lr", "deepfm", "dcnv2", "din", "finalmlp", "afn", "autoint", "dlrm")
BCE = keras.losses.BinaryCrossentropy(from_logits=True)
ROWS = 997  # of a table that nothing else is as large as
# Each model takes those that it knows; tanh, because a ReLU of few units may die.
SMALL = {
    "activation": "tanh",
    "attention_dim": 4,
    "attention_hidden_units": (4,),
    "attention_layers": 2,
    "batch_norm": False,
    "block_units": 4,
    "blocks": 2,
    "bottom_units": (4,),
    "cin_units": (3, 2),
    "cross_layers": 2,
    "deep_hidden_units": (4,),
    "ensemble": True,
    "exponential_layers": 2,
    "fmb_units": (4,),
    "fmb_vectors": 3,
    "gate_units": (4,),
    "hidden_units": (5,),
    "layers": 2,
    "lcb_vectors": 3,
    "linear": True,
    "linear_layers": 2,
    "neurons": 3,
    "projection": 2,
}
SCHEMA = zoo.Schema(
    "all",
    [
        zoo.Categorical("user", ROWS - 8 - 6),
        zoo.Categorical("item", 8),
        zoo.Categorical("tags", 6, length=2, pooling="sum"),
        zoo.Categorical("seen", 8, length=3, shares="item"),
    ],
    [zoo.Numeric("price", mean=2.0, std=0.5), zoo.Numeric("age", transform="log")],
)


def small(name, schema=SCHEMA, **changed):
    """A small model of a kind, with weights far from their initial values."""
    taken = zoo.get(name).arguments()
    settings = {key: SMALL[key] for key in SMALL if key in taken}
    model = zoo.get(name)(schema, **{"embedding_dim": 4, **settings, **changed})
    rng = np.random.default_rng(1)
    for weight in model.weights:
        drawn = rng.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(drawn) + 0.5 if "variance" in weight.path else drawn)
    return model


@functools.cache
def shared(name):
    """The small model for checks that leave it as it is."""
    return small(name)


def batch(rows=16, schema=SCHEMA):
    """Features, one row of which has no value in any field of several, and labels."""
    features = features_of(schema, rows)
    features["ids"][0, 2:] = -1
    return features, np.random.default_rng(0).integers(0, 2, (rows, 1)).astype(np.float32)


def has_batch_statistics(model):
    """Whether rows of a batch change each other's result in training."""
    layers = model._flatten_layers()
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
