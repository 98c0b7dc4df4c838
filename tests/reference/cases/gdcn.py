"""GDCN of FuxiCTR, stacked and parallel."""

from harness import PLAIN, Case, Torch, dense, embedding, feature_map, mlp

LAYERS = 3


def reference(kind, **settings):
    from model_zoo.GDCN.src import GDCN as models

    model = getattr(models, kind)
    return Torch(
        model(
            feature_map(),
            embedding_dim=4,
            dnn_hidden_units=[6, 3],
            num_cross_layers=LAYERS,
            **settings,
            **PLAIN,
        )
    )


def weights(stacked, norm=False):
    def ours(theirs):
        found = embedding(theirs, "embedding_layer.embedding_layer", "embedding")
        found |= mlp(theirs, "dnn", output="output_unit" if stacked else None, norm=norm)
        if not stacked:
            found |= dense(theirs, "fc", "output_unit")
        for i in range(LAYERS):
            found |= dense(theirs, f"cross_net.w.{i}", f"cross/cross_{i}")
            found |= dense(theirs, f"cross_net.wg.{i}", f"cross/gate_{i}")
            found[f"cross/cross_{i}/bias"] = theirs[f"cross_net.b.{i}"]
        return found

    return ours


SETTINGS = {"embedding_dim": 4, "cross_layers": LAYERS, "hidden_units": [6, 3]}
PARALLEL = {**SETTINGS, "structure": "parallel"}
CASES = {
    "gdcn": Case("gdcn", SETTINGS, lambda: reference("GDCN"), weights(stacked=True)),
    "gdcn_parallel": Case("gdcn", PARALLEL, lambda: reference("GDCNP"), weights(stacked=False)),
    "gdcn_parallel_norm": Case(
        "gdcn",
        {**PARALLEL, "batch_norm": True},
        lambda: reference("GDCNP", batch_norm=True),
        weights(stacked=False, norm=True),
    ),
}
