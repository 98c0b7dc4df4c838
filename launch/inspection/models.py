"""Loads the model of a run, a checkpoint or a file."""

from __future__ import annotations

import dataclasses

import keras

import zoo
from launch.analysis.runs import run_settings
from launch.run.checkpoints import Checkpoints
from launch.run.config import RunConfig
from launch.run.files import load_best
from launch.run.model_files import load_keras
from launch.run.starting import compiled_model
from tf_helen import keras_access
from tf_helen.layers import DynamicEmbedding
from tf_helen.stores import gfile
from zoo.data.files import DataError
from zoo.data.identity import data_identity


def load_model(path: str, checkpoint: bool = False) -> keras.Model:
    """Loads a model.

    Args:
        path: string, a `.keras` file, or the folder of a run: its best model.
        checkpoint: boolean, whether to load the newest checkpoint of the run instead. Defaults to
            `False`.

    Returns:
        The Keras model.

    Raises:
        DataError: if there is no model, or its file is damaged.

    Example:
        >>> load_model("out/frappe").name  # doctest: +SKIP
        'deepfm'
    """
    if path.endswith(".keras"):
        if checkpoint:
            raise DataError(f"{path} is a file and has no checkpoints; name the folder of the run")
        if not gfile.exists(path):
            raise DataError(f"no file {path}; name a .keras file or the folder of a run")
        return load_keras(path, "name another file")
    settings = run_settings(path)
    if not checkpoint:
        return load_best(path)
    known = {field.name for field in dataclasses.fields(RunConfig)}
    config = RunConfig(**{k: v for k, v in settings.items() if k in known} | {"out": path})
    schema = zoo.Schema.load(config.data)
    keras.backend.clear_session()  # layers get the same names as in the run
    model = compiled_model(config, schema, data_identity(config.data))
    states = Checkpoints(path, model)
    saved, notes = states.files.newest_whole()
    for note in notes:
        print(note)
    if saved is None:
        raise DataError(f"{path} has no intact checkpoint; leave --checkpoint out")
    states.load(saved)
    return model


def dynamic_tables(model: keras.Model) -> dict[str, DynamicEmbedding]:
    """Returns the dynamic tables of a model, by path.

    Args:
        model: Keras model.

    Returns:
        Dict from the path of a table to its layer, in the order of the layers.

    Example:
        >>> import zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10)])
        >>> list(dynamic_tables(zoo.FM(schema, 4, dynamic=5)))
        ['embedding/table', 'linear/weights/table']
    """
    layers = dict.fromkeys(keras_access.layers_of(model))
    prefix = f"{model.name}/"
    return {
        layer.path.removeprefix(prefix): layer
        for layer in layers
        if isinstance(layer, DynamicEmbedding)
    }
