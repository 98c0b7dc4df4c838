"""DeepCTR's model on the shape of `benchmarks/shape.py`; prints a line of JSON.

    python benchmarks/peers/deepctr_models.py MODEL

Runs in an environment with `deepctr` and TensorFlow 2.12 (later versions lack the module
`tensorflow.python.keras`, which `deepctr` imports).
"""

import inspect
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from shape import BATCH, DIM, FIELDS, HIDDEN, HISTORY, NUMBERS, SIZE, batches, histories

from peers.timing import rows_per_second

MLP = {"dnn_hidden_units": HIDDEN}
MODELS = {
    "widedeep": ("WDL", MLP),
    "pnn": ("PNN", MLP),
    "deepfm": ("DeepFM", MLP),
    "dcn": ("DCN", {**MLP, "cross_num": 3}),
    "dcnv2": ("DCN", {**MLP, "cross_num": 3, "cross_parameterization": "matrix"}),
    "xdeepfm": ("xDeepFM", {**MLP, "cin_layer_size": (16, 16, 16), "cin_split_half": False}),
    "fibinet": ("FiBiNET", {**MLP, "bilinear_type": "interaction"}),
    "autoint": ("AutoInt", {**MLP, "att_layer_num": 2, "att_head_num": 2, "att_embedding_size": 8}),
    "din": ("DIN", {**MLP, "att_hidden_size": (64,), "history_feature_list": ["c0"]}),
    "edcn": ("EDCN", {"cross_num": 3, "bridge_type": "hadamard_product"}),
}
# Models that need all columns to have the width of the embedding.
WITHOUT_NUMBERS = {"edcn"}
# DeepCTR adds a linear part to every model; the papers and the zoo have none in these.
WITHOUT_LINEAR_PART = {"dcn", "dcnv2", "autoint", "edcn"}


def main(name: str) -> None:
    """Builds, trains and serves a model."""
    import deepctr.models as zoo
    import numpy as np
    import tensorflow as tf
    from deepctr.feature_column import DenseFeat, SparseFeat, VarLenSparseFeat

    cls, settings = MODELS[name]
    columns = [SparseFeat(f"c{place}", SIZE, DIM) for place in range(FIELDS)]
    if name not in WITHOUT_NUMBERS:
        columns += [DenseFeat(f"n{place}", 1) for place in range(NUMBERS)]
    # DeepCTR requires at least one column.
    linear = columns[-1:] if name in WITHOUT_LINEAR_PART else columns
    make = getattr(zoo, cls)
    # DeepCTR's penalties read whole tables in each step; the zoo has none by default.
    penalties = {key: 0 for key in inspect.signature(make).parameters if key.startswith("l2_reg")}
    if name == "din":
        history = SparseFeat("hist_c0", SIZE, DIM, embedding_name="c0")
        columns.append(VarLenSparseFeat(history, maxlen=HISTORY))
    sides = [columns] if name in ("pnn", "din") else [linear, columns]
    model = make(*sides, **penalties, **settings)
    model.compile("adam", "binary_crossentropy")
    data = []
    for batch, history in zip(batches(), histories(), strict=True):
        features = {"hist_c0": history}
        features |= {f"c{place}": batch["ids"][:, place : place + 1] for place in range(FIELDS)}
        features |= {f"n{p}": batch["numeric"][:, p : p + 1] for p in range(NUMBERS)}
        features = {key: tf.constant(features[key]) for key in model.input_names}
        data.append((features, tf.constant(batch["label"])))
    step = tf.function(lambda x, y: model.train_step((x, y)))
    serve = tf.function(lambda x: model(x, training=False))
    trained = rows_per_second(lambda number: step(*data[number]), BATCH)
    inferred = rows_per_second(lambda number: serve(data[number][0]), BATCH)
    parameters = int(sum(np.prod(weight.shape) for weight in model.trainable_weights))
    print(json.dumps({"parameters": parameters, "trained": trained, "inferred": inferred}))


if __name__ == "__main__":
    main(sys.argv[1])
