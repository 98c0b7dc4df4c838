"""FinalNet of its authors, which is part of FuxiCTR."""

from harness import PLAIN, Case, Torch, batch_norm, dense, embedding, feature_map

UNITS = ([6, 4], [4, 8])


def reference(**settings):
    from model_zoo.FinalNet.src.FinalNet import FinalNet

    units = {"block1_hidden_units": UNITS[0], "block2_hidden_units": UNITS[1]}
    model = FinalNet(feature_map(), embedding_dim=4, **units, **settings, **PLAIN)
    return Torch(model, spread=0.5)


def weights(theirs):
    found = embedding(theirs, "embedding_layer.embedding_layer", "embedding")
    if "feature_gating.linear.weight" in theirs:
        found |= dense(theirs, "feature_gating.linear", "column_gate")
    for block in range(2):
        if f"fc{block + 1}.weight" not in theirs:
            continue
        found |= dense(theirs, f"fc{block + 1}", f"output_unit_{block}")
        for i in range(2):
            layer = f"block_{block}/dense_{i}"
            found |= dense(theirs, f"block{block + 1}.layer.{i}.linear", layer)
            norm = f"block_{block}/norm_{i}"
            found |= batch_norm(theirs, f"block{block + 1}.norm.{i}", norm)
    return found


def case(ours, theirs):
    settings = {
        "embedding_dim": 4,
        "hidden_units": UNITS[0],
        "second_hidden_units": UNITS[1],
        **ours,
    }
    source = "the authors' code, in FuxiCTR"
    return Case("finalnet", settings, lambda: reference(**theirs), weights, source)


CASES = {
    "finalnet": case({}, {}),
    "finalnet_gates": case(
        {"column_gates": True, "activation": "relu"},
        {
            "use_feature_gating": True,
            "block1_hidden_activations": "ReLU",
            "block2_hidden_activations": "ReLU",
        },
    ),
    "finalnet_sum": case(
        {"residual": "sum", "batch_norm": False}, {"residual_type": "sum", "batch_norm": False}
    ),
    "finalnet_one": case({"blocks": 1}, {"block_type": "1B"}),
}
