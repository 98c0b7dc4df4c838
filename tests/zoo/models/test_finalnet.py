"""FinalNet: odd widths, the losses of its blocks, and settings that raise errors."""

import numpy as np
import pytest
import tensorflow as tf
from click_features import features_of

import zoo
from zoo.layers.factorized_interaction import FactorizedInteraction

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])


@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("residual", ["concat", "sum"])
def test_a_layer_multiplies_its_outputs(residual, units):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    layer = FactorizedInteraction(units, residual)
    outputs = layer(x).numpy()
    both = x @ layer.kernel.numpy()
    if residual == "sum":
        expected = both[:, :units] * (1 + both[:, units:])
    else:
        a, gates = both[:, : -(units // 2) or None], both[:, units - units // 2 :]
        expected = np.concatenate([a, a[:, : units // 2] * gates], axis=1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape((4, 3)) == (4, units)


def loss_of_blocks(model, features):
    """Their cross-entropies with the mean's probability, from the blocks themselves."""
    inputs = model.embedding(features)
    logits = [
        unit(block(inputs)) for unit, block in zip(model.output_units, model.blocks, strict=True)
    ]
    teacher = 1 / (1 + np.exp(-np.mean(logits, axis=0)))
    return sum(np.mean(np.logaddexp(0, logit) - teacher * logit) for logit in map(np.array, logits))


@pytest.mark.parametrize("gates", [False, True])
def test_the_logit_is_that_of_the_papers_formulas(gates):
    settings = {"hidden_units": (6, 4), "second_hidden_units": (5,), "batch_norm": False}
    model = zoo.FinalNet(SCHEMA, 4, activation="relu", column_gates=gates, **settings)
    rng = np.random.default_rng(3)
    w = {}
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
        w[weight.path.split("/", 1)[1]] = np.array(weight, np.float64)
    ids = rng.integers(0, 8, (16, 2))
    e = w["embedding/table/embeddings"][ids + np.array([0, 10])]
    inputs = [e.reshape(16, 8)] * 2
    if gates:
        scale = np.einsum("bid,ij->bjd", e, w["column_gate/kernel"])
        scale += w["column_gate/bias"][:, None]
        inputs[0] = np.concatenate([e, e * scale], axis=1).reshape(16, 16)
    logits = []
    for block, (x, layers) in enumerate(zip(inputs, (2, 1), strict=True)):
        for i in range(layers):
            path = f"block_{block}/dense_{i}"
            both = x @ w[f"{path}/kernel"] + w[f"{path}/bias"]
            a, g = np.split(both, [both.shape[1] - both.shape[1] // 2], axis=1)
            x = np.maximum(np.concatenate([a, a[:, : g.shape[1]] * g], axis=1), 0)
        unit = f"output_unit_{block}"
        logits.append(x @ w[f"{unit}/kernel"] + w[f"{unit}/bias"])
    found = model({"ids": ids})
    assert np.std(found) > 0.1
    np.testing.assert_allclose(found, np.mean(logits, axis=0), rtol=1e-4, atol=1e-5)


def test_blocks_learn_from_their_mean():
    features = features_of(SCHEMA, 9)
    model = zoo.FinalNet(
        SCHEMA, 4, hidden_units=(6,), batch_norm=False, distillation=0.5,
        embeddings_initializer="normal",
    )  # fmt: skip
    model(features, training=True)
    losses = sum(float(loss) for loss in model.losses)
    np.testing.assert_allclose(losses, 0.5 * loss_of_blocks(model, features), rtol=1e-5)
    model(features)
    assert not model.losses


def test_no_rows_have_no_loss():
    model = zoo.FinalNet(SCHEMA, 4, hidden_units=(6,), batch_norm=False)
    assert model({"ids": tf.zeros([0, 2], tf.int32)}, training=True).shape == (0, 1)
    assert all(float(loss) == 0 for loss in model.losses)


@pytest.mark.parametrize("settings", [{"blocks": 1}, {"distillation": 0}])
def test_one_block_or_no_weight_is_no_loss(settings):
    model = zoo.FinalNet(SCHEMA, 4, hidden_units=(6,), **settings)
    model(features_of(SCHEMA, 9), training=True)
    assert not model.losses


def test_only_column_gates_need_one_width():
    settings = {"hidden_units": (6,), "embedding_dims": {"user": 3}}
    assert zoo.FinalNet(SCHEMA, 4, **settings)(features_of(SCHEMA, 2)).shape == (2, 1)
    with pytest.raises(ValueError, match="vectors of the same width"):
        zoo.FinalNet(SCHEMA, 4, column_gates=True, **settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": 3}, "`blocks` must be one of 1, 2.*3"),
        ({"residual": "add"}, "`residual` must be one of 'concat', 'sum'.*'add'"),
        ({"distillation": -1.0}, "`distillation` must be a number >= 0.*-1"),
        ({"hidden_units": ()}, "`hidden_units` must be 1 or more widths"),
        ({"second_hidden_units": (0,)}, "`second_hidden_units` must be integers >= 1.*0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.FinalNet(SCHEMA, **arguments)
