"""Logits and parameter counts equal those of the reference implementations, recorded in files."""

import json
from pathlib import Path

import numpy as np
import pytest

import zoo

FILES = sorted((Path(__file__).parents[2] / "data" / "reference").glob("*.npz"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_logits_and_parameters_equal_the_reference(path):
    stored = dict(np.load(path))
    meta = json.loads(str(stored["meta"]))
    described = meta["schema"]
    schema = zoo.Schema(
        described["name"],
        [zoo.Categorical(**field) for field in described["categorical"]],
        [zoo.Numeric(**column) for column in described["numeric"]],
    )
    model = zoo.get(meta["model"])(schema, **meta["settings"])
    named = {weight.path.split("/", 1)[1]: weight for weight in model.weights}
    given = {k.removeprefix("weight:"): v for k, v in stored.items() if k.startswith("weight:")}
    assert sorted(named) == sorted(given)
    for name, value in given.items():
        named[name].assign(value)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == meta["parameters"]
    features = {key: stored[key] for key in ("ids", "numeric") if key in stored}
    logits = model(features).numpy()[:, 0]
    assert np.ptp(stored["logits"]) > 0.1
    np.testing.assert_allclose(logits, stored["logits"], rtol=1e-5, atol=1e-5)


def test_every_model_has_a_reference():
    models = {json.loads(str(np.load(path)["meta"]))["model"] for path in FILES}
    assert models == {entry.name for entry in zoo.list_models()}
