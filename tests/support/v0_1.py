"""Files of version 0.1: the models, and the script that recorded tests/data/v0_1.

Run once, at version 0.1: `python tests/support/v0_1.py`. The tests then load the files with the
code of today; nothing here may change without the files.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tf_helen

FOLDER = Path(__file__).parents[1] / "data" / "v0_1"
FIELDS = {"user": 12, "item": 9}
AR = {"alpha": 0.01}
LASSO = {"l1": 1e-3, "l21": 1e-3, "l2": 1e-3}

# Name -> optimizer. Every layout of slots and every way to hold another optimizer is here once.
OPTIMIZERS = {
    "sgd": lambda: tf_helen.SGD(0.05, clipnorm=0.5),
    "momentum": lambda: tf_helen.Momentum(0.05, nesterov=True),
    "adagrad": lambda: tf_helen.Adagrad(0.05, epsilon_inside=True),
    "row_wise_adagrad": lambda: tf_helen.RowWiseAdagrad(0.05),
    "adam": lambda: tf_helen.Adam(0.05, track_rows=True, embedding_learning_rate=0.02),
    "amsgrad": lambda: tf_helen.AMSGrad(0.05, global_clipnorm=1.0),
    "adamw": lambda: tf_helen.AdamW(0.05, weight_decay=0.1, counter_halflife=5),
    "nadam": lambda: tf_helen.Nadam(0.05),
    "radam": lambda: tf_helen.RAdam(0.05),
    "ada_hessian": lambda: tf_helen.AdaHessian(0.05, average="row"),
    "adam_ar": lambda: tf_helen.AdamAR(0.05, **AR),
    "adam_ar_auto": lambda: tf_helen.AdamAR(0.05, alpha="auto"),
    "adagrad_ar": lambda: tf_helen.AdagradAR(0.05, **AR),
    "group_adam": lambda: tf_helen.GroupAdam(0.05, **LASSO),
    "group_adam_ar": lambda: tf_helen.GroupAdamAR(0.05, **LASSO, **AR),
    "group_momentum": lambda: tf_helen.GroupMomentum(0.05, **LASSO),
    "group_ftrl": lambda: tf_helen.GroupFTRL(0.05, **LASSO),
    "sam": lambda: tf_helen.SAM(0.05, rho=0.1, base_optimizer="sgd"),
    "asam": lambda: tf_helen.ASAM(0.05, base_optimizer="adagrad"),
    "helen": lambda: tf_helen.Helen(0.05, rho=0.1, lower_bound=0.2, norm="table"),
    "helen_adam_ar": lambda: tf_helen.Helen(
        rho=0.1, base_optimizer=tf_helen.AdamAR(0.05, **AR), frequency="running"
    ),
    "helen_of_keras": lambda: tf_helen.Helen(rho=0.1, base_optimizer=keras.optimizers.SGD(0.05)),
    "cow_clip": lambda: tf_helen.CowClip(base_optimizer=tf_helen.AdamAR(0.05, **AR), ratio=0.1),
    "per_variable": lambda: tf_helen.PerVariable(
        {"embeddings": tf_helen.AdagradAR(0.05, **AR), "*": tf_helen.Adam(0.05)}
    ),
}


def new_model() -> keras.Model:
    """A functional model: one table of two fields, and a dense layer on top."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((2,), dtype="int32", name="ids")
    rows = tf_helen.layers.Embedding(FIELDS, 3, name="embedding")(inputs)
    flat = keras.layers.Flatten(name="flat")(rows)
    return tf_helen.Model(inputs, keras.layers.Dense(1, name="top")(flat), name="v0_1")


def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels of one step; some rows come back after an absence, some never occur."""
    rng = np.random.default_rng(step)
    ids = rng.integers(0, [8, 6], (16, 2))
    if step % 3:
        ids[:, 0] %= 3
    return ids, rng.integers(0, 2, (16, 1)).astype("float32")


def train(model: keras.Model, steps: range) -> None:
    """One epoch of `fit`, a batch per step."""
    x, y = zip(*map(batch, steps), strict=True)
    model.fit(
        np.concatenate(x), np.concatenate(y), batch_size=16, epochs=1, shuffle=False, verbose=0
    )


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The model's weights by their place; `get_weights` brings every row up to date."""
    return {f"{place}": value for place, value in enumerate(model.get_weights())}


def probe() -> np.ndarray:
    """Numbers that differ between processors whose instructions round differently."""
    rng = np.random.default_rng(0)
    a = tf.constant(rng.normal(size=(16, 6)), tf.float32)
    b = tf.constant(rng.normal(size=(6, 1)), tf.float32)
    product = tf.matmul(a, b)
    parts = [product, tf.matmul(a, product, transpose_a=True), tf.sqrt(tf.abs(a)), tf.sigmoid(a)]
    return np.concatenate([part.numpy().ravel() for part in parts])


def compiled(name: str) -> keras.Model:
    """A fresh model with one of the optimizers."""
    model = new_model()
    model.compile(OPTIMIZERS[name](), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def described(optimizer: keras.optimizers.Optimizer) -> list[list]:
    """Path, shape and dtype of each of an optimizer's variables, in the order of checkpoints."""
    return [[v.path.split("/", 1)[-1], list(v.shape), str(v.dtype)] for v in optimizer.variables]


def plain(config: object) -> object:
    """A config as JSON gives it back."""
    return json.loads(json.dumps(config, default=str))


def write() -> None:
    """Writes the files."""
    from tf_helen.constructors import constructor_arguments  # a module of version 0.1

    import zoo

    FOLDER.mkdir(parents=True, exist_ok=True)
    expected, names = {"probe": probe()}, {}
    for name in OPTIMIZERS:
        model = compiled(name)
        train(model, range(1, 7))
        model.save(FOLDER / f"{name}.keras")
        if name in ("adam_ar", "helen_adam_ar", "group_adam_ar", "per_variable"):
            state = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
            state.write(str(FOLDER / f"{name}.ckpt"))
        names[name] = described(model.optimizer)
        expected |= {f"{name}/saved/{k}": v for k, v in weights_of(model).items()}
        train(model, range(7, 13))
        expected |= {f"{name}/trained/{k}": v for k, v in weights_of(model).items()}
    np.savez_compressed(FOLDER / "weights.npz", **expected)
    classes = {cls.__name__: cls for cls in tf_helen.optimizers.CLASSES}
    required = {"PerVariable": {"optimizers": {"*": tf_helen.SGD()}}}
    record = {
        "variables": names,
        "optimizers": {
            name: {
                "arguments": {k: str(v) for k, v in constructor_arguments(cls).items()},
                "config": plain(cls(**required.get(name, {})).get_config()),
            }
            for name, cls in classes.items()
        },
        "models": {
            entry.name: {
                "arguments": {
                    k: str(v) for k, v in constructor_arguments(zoo.get(entry.name)).items()
                }
            }
            for entry in zoo.list_models()
        },
        "public": {
            "tf_helen": sorted(tf_helen.__all__),
            "tf_helen.layers": sorted(tf_helen.layers.__all__),
            "tf_helen.metrics": sorted(tf_helen.metrics.__all__),
            "tf_helen.callbacks": sorted(tf_helen.callbacks.__all__),
            "tf_helen.optimizers": sorted(tf_helen.optimizers.__all__),
            "zoo": sorted(zoo.__all__),
        },
    }
    (FOLDER / "record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write())
