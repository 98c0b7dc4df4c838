"""DCNv3 of its authors, which is part of FuxiCTR."""

from harness import PLAIN, Case, Torch, batch_norm, dense, embedding, feature_map

LAYERS = {"num_deep_cross_layers": 3, "num_shallow_cross_layers": 2}


def reference(**settings):
    from model_zoo.DCNv3.src.DCNv3 import DCNv3

    dropout = {"deep_net_dropout": 0, "shallow_net_dropout": 0}
    return Torch(DCNv3(feature_map(), embedding_dim=4, **LAYERS, **dropout, **settings, **PLAIN))


def weights(theirs):
    found = embedding(theirs, "embedding_layer.embedding_layer.embedding_layer", "embedding")
    for net, unit, ours, layers in (
        ("ECN", "dfc", "exponential", 3),
        ("LCN", "sfc", "linear", 2),
    ):
        found |= dense(theirs, f"{net}.{unit}", f"{ours}_unit")
        for i in range(layers):
            found[f"{ours}_{i}/kernel"] = theirs[f"{net}.w.{i}.weight"].T
            found[f"{ours}_{i}/bias"] = theirs[f"{net}.b.{i}"]
            found |= batch_norm(theirs, f"{net}.layer_norm.{i}", f"{ours}_{i}/layer_norm")
            found |= batch_norm(theirs, f"{net}.batch_norm.{i}", f"{ours}_{i}/batch_norm")
    return found


SETTINGS = {"embedding_dim": 4, "exponential_layers": 3, "linear_layers": 2}
SOURCE = "the authors' code, in FuxiCTR"
CASES = {
    "dcnv3": Case("dcnv3", SETTINGS, reference, weights, SOURCE),
    "dcnv3_heads": Case(
        "dcnv3",
        {**SETTINGS, "heads": 2, "batch_norm": True},
        lambda: reference(num_heads=2, batch_norm=True),
        weights,
        SOURCE,
    ),
    "dcnv3_plain": Case(
        "dcnv3",
        {**SETTINGS, "layer_norm": False},
        lambda: reference(layer_norm=False),
        weights,
        SOURCE,
    ),
}
