"""MaskNet of FuxiCTR, serial and parallel."""

import numpy as np
from harness import (
    NUMBERS,
    PLAIN,
    SIZES,
    Case,
    Torch,
    batch_norm,
    dense,
    embedding,
    feature_map,
    mlp,
)


def reference(**settings):
    from model_zoo.MaskNet.src.MaskNet import MaskNet

    return Torch(MaskNet(feature_map(), embedding_dim=4, **settings, **PLAIN), spread=0.8)


def weights(blocks, serial):
    def ours(theirs):
        found = embedding(theirs, "embedding_layer.embedding_layer", "embedding")
        for name, part in (("gamma", "weight"), ("beta", "bias")):
            places = range(len(SIZES) + len(NUMBERS))
            if "emb_norm.0.weight" in theirs:
                stacked = np.stack([theirs[f"emb_norm.{i}.{part}"] for i in places])
                found[f"embedding_norm/{name}"] = stacked
        for i in range(blocks):
            block, path = f"block_{i}", f"mask_net.mask_blocks.{i}"
            found |= dense(theirs, f"{path}.mask_layer.0", f"{block}/squeeze")
            found |= dense(theirs, f"{path}.mask_layer.2", f"{block}/mask")
            found |= dense(theirs, f"{path}.hidden_layer.0", f"{block}/hidden")
            found |= batch_norm(theirs, f"{path}.hidden_layer.1", f"{block}/norm")
        if serial:
            return {**found, **dense(theirs, "mask_net.fc.0", "output_unit")}
        return {**found, **mlp(theirs, "mask_net.dnn")}

    return ours


SERIAL = {"embedding_dim": 4, "structure": "serial", "hidden_units": [6, 3]}
CASES = {
    "masknet_serial": Case(
        "masknet",
        {**SERIAL, "reduction": 0.4},
        lambda: reference(dnn_hidden_units=[6, 3], reduction_ratio=0.4),
        weights(2, serial=True),
    ),
    "masknet_serial_plain": Case(
        "masknet",
        {**SERIAL, "embedding_norm": False, "layer_norm": False, "activation": "tanh"},
        lambda: reference(
            dnn_hidden_units=[6, 3],
            emb_layernorm=False,
            net_layernorm=False,
            dnn_hidden_activations="Tanh",
        ),
        weights(2, serial=True),
    ),
    "masknet_parallel": Case(
        "masknet",
        {
            "embedding_dim": 4,
            "hidden_units": [6, 3],
            "blocks": 3,
            "block_units": 5,
            "reduction": 2,
        },
        lambda: reference(
            dnn_hidden_units=[6, 3],
            model_type="ParallelMaskNet",
            parallel_num_blocks=3,
            parallel_block_dim=5,
            reduction_ratio=2,
        ),
        weights(3, serial=False),
    ),
}
