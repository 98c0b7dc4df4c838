"""Files of version 0.1 load, and training continues with the same bits."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from v0_1 import FOLDER, OPTIMIZERS, compiled, described, plain, probe, train, weights_of
from versions import KERAS

import tf_helen
import zoo
from tf_helen.optimizers.arguments import arguments_of

RECORD = json.loads((FOLDER / "record.json").read_text(encoding="utf-8"))
WEIGHTS = dict(np.load(FOLDER / "weights.npz"))
CHECKPOINTS = ("adam_ar", "helen_adam_ar", "group_adam_ar", "per_variable")
CLASSES = {cls.__name__: cls for cls in tf_helen.optimizers.CLASSES}
REQUIRED = {"PerVariable": {"optimizers": {"*": "sgd"}}}


# Settings that have another name since, but in the Group optimizers, whose `l2` stays.
RENAMED = {"l2": "coupled_weight_decay"}
# Arguments that version 0.1 took only to refuse them, or at Keras's default.
REFUSED = {"use_ema", "ema_momentum", "ema_overwrite_frequency", "gradient_accumulation_steps"}
REFUSED_HERE = {"Nadam": {"amsgrad"}, "RAdam": {"amsgrad", "epsilon_hat"}}
REFUSED_HERE |= {name: {"amsgrad"} for name in ("AdaHessian", "GroupAdaHessian")}
# `inner` is an argument of a base class; ASAM ignored `adaptive`.
REFUSED_HERE |= {name: {"inner"} for name in ("CowClip", "SAM", "Helen")}
REFUSED_HERE["ASAM"] = {"inner", "adaptive"}


def of_today(name: str, config: dict) -> dict:
    """A recorded configuration under today's names, those of held optimizers included."""
    renamed = {} if name.startswith("Group") else RENAMED
    config = {renamed.get(key, key): value for key, value in config.items()}
    for key, value in config.items():
        if isinstance(value, dict) and "class_name" in value:
            config[key] = {**value, "config": of_today(value["class_name"], value["config"])}
    return config


def recorded(name: str, when: str) -> dict[str, np.ndarray]:
    """The weights that version 0.1 had after an optimizer's first or second epoch."""
    prefix = f"{name}/{when}/"
    return {k.removeprefix(prefix): v for k, v in WEIGHTS.items() if k.startswith(prefix)}


def assert_same(model: keras.Model, expected: dict[str, np.ndarray], exact: bool) -> None:
    found = weights_of(model)
    assert found.keys() == expected.keys()
    # Another kind of processor rounds sums and products differently.
    tolerance = 0.0 if exact else 1e-5
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance, err_msg=key)


def readable(path: Path) -> Path:
    """The path; skips the test under an older Keras than wrote the file.

    Its layers raise an error for arguments that were added later.
    """
    with zipfile.ZipFile(path) as file:
        wrote = json.loads(file.read("metadata.json"))["keras_version"]
    if tuple(int(number) for number in wrote.split(".")[:2]) > KERAS:
        pytest.skip(f"Keras {wrote} wrote the file, this is Keras {keras.__version__}")
    return path


@pytest.fixture(scope="module")
def same_processor() -> bool:
    return np.array_equal(probe(), WEIGHTS["probe"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_keras_file_loads_and_trains_on_to_the_same_bits(name, same_processor):
    model = keras.saving.load_model(readable(FOLDER / f"{name}.keras"))
    assert_same(model, recorded(name, "saved"), exact=True)
    assert described(model.optimizer) == RECORD["variables"][name]
    train(model, range(7, 13))
    assert_same(model, recorded(name, "trained"), same_processor)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_loads_and_trains_on_to_the_same_bits(name, same_processor):
    model = compiled(name)
    model.optimizer.build(model.trainable_variables)
    state = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    state.read(str(FOLDER / f"{name}.ckpt")).assert_consumed()
    assert_same(model, recorded(name, "saved"), exact=True)
    train(model, range(7, 13))
    assert_same(model, recorded(name, "trained"), same_processor)


def test_the_second_epoch_changes_what_the_first_left():
    for name in OPTIMIZERS:
        before, after = recorded(name, "saved"), recorded(name, "trained")
        assert before and all(not np.array_equal(before[k], after[k]) for k in before), name


@pytest.mark.parametrize("name", RECORD["optimizers"])
def test_a_config_makes_the_optimizer_again(name):
    made = CLASSES[name].from_config(RECORD["optimizers"][name]["config"])
    now = plain(made.get_config())
    before = of_today(name, RECORD["optimizers"][name]["config"])
    if name == "PerVariable":
        before.pop("optimizers"), now.pop("optimizers")
    assert {key: now.get(key) for key in before} == before


@pytest.mark.parametrize("name", RECORD["optimizers"])
def test_default_settings_stay(name):
    now = plain(CLASSES[name](**REQUIRED.get(name, {})).get_config())
    before = of_today(name, RECORD["optimizers"][name]["config"])
    if name == "PerVariable":
        before.pop("optimizers"), now.pop("optimizers")
    assert {key: now.get(key) for key in before} == before


@pytest.mark.parametrize("name", RECORD["optimizers"])
def test_arguments_stay(name):
    renamed = {} if name.startswith("Group") else RENAMED
    taken = {renamed.get(a, a) for a in RECORD["optimizers"][name]["arguments"]}
    assert taken - REFUSED - REFUSED_HERE.get(name, set()) <= set(arguments_of(CLASSES[name]))


@pytest.mark.parametrize("module", RECORD["public"])
def test_public_names_stay(module):
    found = {"tf_helen": tf_helen, "zoo": zoo}[module.split(".")[0]]
    for part in module.split(".")[1:]:
        found = getattr(found, part)
    missing = [name for name in RECORD["public"][module] if not hasattr(found, name)]
    assert not missing
