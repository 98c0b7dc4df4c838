"""A small model with columns of several kinds, and rows of raw values for it."""

import numpy as np
import tensorflow as tf

import zoo
from zoo.data.vocabulary import save_vocabulary

SCHEMA = zoo.Schema(
    "served",
    [
        zoo.Categorical("user", 5),
        zoo.Categorical("age", encoding="buckets", boundaries=(18, 65)),
        zoo.Categorical("site.id", 20, encoding="hash", missing="bucket"),
        zoo.Categorical("tags", 4, length=3),
    ],
    [zoo.Numeric("price", mean=3.0, std=2.0), zoo.Numeric("amount", transform="log")],
)
USERS, TAGS = ["<oov>", "ann", "bob", "é", "7"], ["<oov>", "rock", "pop", "a,b"]
USER_COLUMNS = ["user", "age", "price"]
RAW = {
    "user": ["ann", "bob", "nobody", "", "é"],
    "age": ["17.5", "18", "", "99", "x"],
    "site_id": ["x.com", "", "y.com", "x.com", "z"],
    "tags": ["rock|pop", "", "a,b", "jazz|rock|pop|rock", "pop"],
    "price": [1.0, 3.5, float("nan"), -2.0, 10.0],
    "amount": [0.0, 7.0, 2.5, -3.0, float("nan")],
}


def data_folder(folder):
    """Writes the vocabularies."""
    SCHEMA.save(folder)
    for name, values in (("user", USERS), ("tags", TAGS)):
        save_vocabulary(folder, name, values, np.arange(len(values))[::-1])
    return folder


def model(name="deepfm", **changed):
    """A model with weights far from their initial values."""
    found = zoo.get(name)(SCHEMA, name="served", embedding_dim=4, hidden_units=(5,), **changed)
    rng = np.random.default_rng(3)
    for weight in found.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return found


def raw(rows=slice(None)):
    """The inputs of `serving_default`."""
    return {
        name: tf.constant(values[rows], tf.float32 if name in ("price", "amount") else tf.string)
        for name, values in RAW.items()
    }


def examples():
    """The rows as serialized examples; missing values are left out."""
    found = []
    for row in range(len(RAW["user"])):
        feature = {}
        for name, values in RAW.items():
            value = values[row]
            if isinstance(value, float):
                if np.isfinite(value):
                    feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            elif value:
                texts = value.split("|") if name == "tags" else [value]
                content = tf.train.BytesList(value=[text.encode() for text in texts])
                feature["site.id" if name == "site_id" else name] = tf.train.Feature(
                    bytes_list=content
                )
        features = tf.train.Features(feature=feature)
        found.append(tf.train.Example(features=features).SerializeToString())
    return found
