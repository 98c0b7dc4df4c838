"""MaskNet: what its settings change, and which raise errors."""

import numpy as np
import pytest

import zoo
from zoo.layers.mask_block import ColumnNorm

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])


def test_each_column_is_normalized_with_its_own_scale():
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    layer = ColumnNorm()
    layer.build(x.shape)
    layer.gamma.assign([[1.0] * 4, [2.0] * 4])
    layer.beta.assign([[0.5] * 4, [0.0] * 4])
    outputs = layer(x).numpy()
    np.testing.assert_allclose(outputs.mean(axis=2), [[0.5, 0.0]] * 5, atol=1e-5)
    np.testing.assert_allclose(outputs.std(axis=2), [[1.0, 2.0]] * 5, rtol=1e-3)


def test_serial_blocks_follow_one_another_and_parallel_ones_see_the_embeddings():
    serial = zoo.MaskNet(SCHEMA, 4, structure="serial", hidden_units=(6, 5))
    assert [block.hidden.kernel.shape for block in serial.blocks] == [(8, 6), (6, 5)]
    assert [block.mask.kernel.shape for block in serial.blocks] == [(8, 8), (6, 6)]
    parallel = zoo.MaskNet(SCHEMA, 4, hidden_units=(6, 5), blocks=3, block_units=7, reduction=0.01)
    assert [block.hidden.kernel.shape for block in parallel.blocks] == [(8, 7)] * 3
    assert [block.squeeze.kernel.shape for block in parallel.blocks] == [(8, 1)] * 3
    assert parallel.mlp.steps[0].kernel.shape == (21, 6)


def test_dropout_is_after_each_serial_block():
    model = zoo.MaskNet(
        SCHEMA, 4, structure="serial", hidden_units=(6, 5, 4), dropout=(0.1, 0.0, 0.3)
    )
    rates = [block.drop.rate if block.drop else 0 for block in model.blocks]
    assert rates == [0.1, 0, 0.3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structure": "stacked"}, "`structure` must be one of 'serial', 'parallel'.*'stacked'"),
        ({"blocks": 0}, "`blocks` must be an integer >= 1.*0"),
        ({"block_units": 1.5}, "`block_units` must be an integer >= 1.*1.5"),
        ({"reduction": 0}, "`reduction` must be a number > 0.*0"),
        ({"embedding_dim": 1}, "`embedding_dim` must be an integer >= 2.*1"),
        ({"structure": "serial", "hidden_units": ()}, "`hidden_units` must be 1 or more"),
        ({"dropout": (0.1, 0.2)}, "`dropout` must be one number.*parallel"),
        ({"structure": "serial", "dropout": (0.1,)}, "`dropout` must be.*2 layers"),
        ({"embedding_dims": {"user": 3}}, "vectors of the same width"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.MaskNet(SCHEMA, **arguments)


def test_embeddings_of_one_number_are_not_normalized():
    model = zoo.MaskNet(SCHEMA, 1, embedding_norm=False, hidden_units=(3,))
    assert model({"ids": np.array([[1, 2]])}).shape == (1, 1)
