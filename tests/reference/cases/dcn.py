"""DCN and DCN-V2 of FuxiCTR; cross layers of low rank without experts by the paper's formula."""

import numpy as np
from formula import Formula
from harness import PLAIN, Case, Torch, dense, embedding, feature_map, mlp

LAYERS, WIDTH, RANK, EXPERTS = 3, 24, 3, 4


def dcn(**settings):
    from model_zoo.DCN.DCN_torch.src.DCN import DCN

    return Torch(DCN(feature_map(), embedding_dim=4, num_cross_layers=LAYERS, **settings, **PLAIN))


def dcnv2(**settings):
    from model_zoo.DCNv2.src.DCNv2 import DCNv2

    return Torch(
        DCNv2(feature_map(), embedding_dim=4, num_cross_layers=LAYERS, **settings, **PLAIN)
    )


def vectors(theirs):
    found = {}
    for i in range(LAYERS):
        path = f"crossnet.cross_net.{i}"
        found[f"cross/layer_{i}/kernel"] = theirs[f"{path}.weight.weight"].T
        found[f"cross/layer_{i}/bias"] = theirs[f"{path}.bias"]
    return found


def matrices(theirs):
    found = {}
    for i in range(LAYERS):
        found |= dense(theirs, f"crossnet.cross_layers.{i}", f"cross/layer_{i}/dense")
    return found


def mixture(theirs):
    gates = [theirs[f"crossnet.gating.{k}.weight"][0] for k in range(EXPERTS)]
    found = {"cross/gate": np.stack(gates, axis=1)}
    for i in range(LAYERS):
        up, down = (theirs[f"crossnet.{name}_list.{i}"] for name in "UV")
        # Theirs are [experts, width, rank]; ours stand side by side.
        found[f"cross/down_{i}"] = down.transpose(1, 0, 2).reshape(WIDTH, -1)
        found[f"cross/up_{i}"] = up.transpose(0, 2, 1).reshape(-1, WIDTH)
        found[f"cross/middle_{i}"] = theirs[f"crossnet.C_list.{i}"].transpose(0, 2, 1)
        found[f"cross/bias_{i}"] = theirs[f"crossnet.bias.{i}"][:, 0]
    return found


def weights(cross, deep=None, norm=False):
    def ours(theirs):
        found = {
            **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
            **cross(theirs),
            **dense(theirs, "fc", "output_unit"),
        }
        return found if deep is None else {**found, **mlp(theirs, deep, output=None, norm=norm)}

    return ours


def low_rank():
    """Equation 2 of DCN-V2, with U and V."""

    def formula(w, e):
        x0 = x = e.reshape(len(e), -1)
        for i in range(LAYERS):
            path = f"cross/layer_{i}"
            v, u = w[f"{path}/down/kernel"], w[f"{path}/dense/kernel"].T
            x = x0 * (x @ v @ u.T + w[f"{path}/dense/bias"]) + x
        return (x @ w["output_unit/kernel"] + w["output_unit/bias"])[:, 0]

    shapes = {"output_unit/kernel": (WIDTH, 1), "output_unit/bias": (1,)}
    for i in range(LAYERS):
        shapes[f"cross/layer_{i}/down/kernel"] = (WIDTH, RANK)
        shapes[f"cross/layer_{i}/dense/kernel"] = (RANK, WIDTH)
        shapes[f"cross/layer_{i}/dense/bias"] = (WIDTH,)
    return Formula(shapes, formula)


CROSS = {"embedding_dim": 4, "cross_layers": LAYERS}
BOTH = {**CROSS, "hidden_units": [6, 3]}
MIXTURE = {"projection_dim": RANK, "experts": EXPERTS}
MIX = {"use_low_rank_mixture": True, "low_rank": RANK, "num_experts": EXPERTS}
CASES = {
    "dcn": Case("dcn", BOTH, lambda: dcn(dnn_hidden_units=[6, 3]), weights(vectors, "dnn")),
    "dcn_norm": Case(
        "dcn",
        {**BOTH, "batch_norm": True},
        lambda: dcn(dnn_hidden_units=[6, 3], batch_norm=True),
        weights(vectors, "dnn", norm=True),
    ),
    "dcn_cross": Case("dcn", {**CROSS, "hidden_units": []}, dcn, weights(vectors)),
    "dcnv2_parallel": Case(
        "dcnv2",
        BOTH,
        lambda: dcnv2(parallel_dnn_hidden_units=[6, 3]),
        weights(matrices, "parallel_dnn"),
    ),
    "dcnv2_stacked": Case(
        "dcnv2",
        {**BOTH, "structure": "stacked", "batch_norm": True},
        lambda: dcnv2(model_structure="stacked", stacked_dnn_hidden_units=[6, 3], batch_norm=True),
        weights(matrices, "stacked_dnn", norm=True),
    ),
    "dcnv2_crossnet": Case(
        "dcnv2",
        {**CROSS, "structure": "crossnet"},
        lambda: dcnv2(model_structure="crossnet_only"),
        weights(matrices),
    ),
    "dcnv2_mixture": Case(
        "dcnv2",
        {**BOTH, **MIXTURE},
        lambda: dcnv2(parallel_dnn_hidden_units=[6, 3], **MIX),
        weights(mixture, "parallel_dnn"),
    ),
    "dcnv2_low_rank": Case(
        "dcnv2",
        {**CROSS, "structure": "crossnet", "projection_dim": RANK},
        low_rank,
        dict,
        source="the paper's formula, in NumPy",
    ),
}
