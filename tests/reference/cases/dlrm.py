"""DLRM of FuxiCTR, with and without batch normalization."""

import itertools

import numpy as np
from harness import PLAIN, SIZES, Case, Torch, feature_map, mlp

FIELDS, WIDTH = len(SIZES), 4


def reference(**settings):
    from model_zoo.DLRM.src.DLRM import DLRM

    units = {"bottom_mlp_units": [6, 5], "top_mlp_units": [6, 4]}
    model = DLRM(feature_map(), embedding_dim=WIDTH, **units, **settings, **PLAIN)
    return Torch(model, spread=0.8)


def weights(norm):
    def ours(theirs):
        path = "embedding_layer.embedding_layer.embedding_layers"
        table = np.concatenate([theirs[f"{path}.{name}.weight"] for name in SIZES])
        found = mlp(theirs, "top_mlp", norm=norm)
        found |= mlp(theirs, "bottom_mlp", ours="bottom", output="bottom_end", norm=norm)
        # FuxiCTR: pairs (0, 1), (0, 2), ..., then z, which is its last vector; ours: z, which is
        # the first, then pairs (1, 0), (2, 0), (2, 1), ...
        kernel = found["mlp/dense_0/kernel"]
        pairs = list(itertools.combinations(range(FIELDS + 1), 2))
        place = {pair: row for row, pair in enumerate(pairs)}
        vectors = [FIELDS, *range(FIELDS)]
        order = [
            place[tuple(sorted((vectors[i], vectors[j])))]
            for i in range(FIELDS + 1)
            for j in range(i)
        ]
        found["mlp/dense_0/kernel"] = np.concatenate([kernel[len(pairs) :], kernel[order]])
        return {**found, "embedding/table/embeddings": table}

    return ours


SETTINGS = {"embedding_dim": WIDTH, "bottom_units": [6, 5], "hidden_units": [6, 4]}
CASES = {
    "dlrm": Case("dlrm", SETTINGS, reference, weights(norm=False)),
    "dlrm_norm": Case(
        "dlrm",
        {**SETTINGS, "batch_norm": True, "activation": "tanh"},
        lambda: reference(
            batch_norm=True, top_mlp_activations="tanh", bottom_mlp_activations="tanh"
        ),
        weights(norm=True),
    ),
}
