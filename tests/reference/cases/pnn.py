"""PNN of FuxiCTR with inner products; with outer ones, which it lacks, the paper's formulas."""

import itertools

import numpy as np
from formula import Formula, numpy_mlp
from harness import PLAIN, Case, Torch, embedding, feature_map, mlp

FIELDS, WIDTH = 6, 4


def inner(**settings):
    from model_zoo.PNN.src.PNN import PNN

    model = PNN(feature_map(), embedding_dim=4, hidden_units=[6, 3], **settings, **PLAIN)
    return Torch(model, spread=0.8)


def inner_weights(norm):
    def ours(theirs):
        found = mlp(theirs, "dnn", norm=norm)
        # FuxiCTR has the pairs (0, 1), (0, 2), ..., (1, 2), ...; we: (0, 1), (0, 2), (1, 2), ...
        pairs = list(itertools.combinations(range(FIELDS), 2))
        order = sorted(range(len(pairs)), key=lambda place: pairs[place][::-1])
        kernel, start = found["mlp/dense_0/kernel"], FIELDS * WIDTH
        found["mlp/dense_0/kernel"] = np.concatenate([kernel[:start], kernel[start:][order]])
        return {**found, **embedding(theirs, "embedding_layer.embedding_layer", "embedding")}

    return ours


def paper(product):
    def formula(w, e):
        rows = range(len(e))
        parts = [e.reshape(len(e), -1)]
        if product == "both":
            dots = [[e[b, i] @ e[b, j] for i in range(FIELDS) for j in range(i)] for b in rows]
            parts.append(np.array(dots))
        outer = [sum(np.outer(x, y) for x in e[b] for y in e[b]) for b in rows]
        parts.append(np.array(outer).reshape(len(e), -1))
        return numpy_mlp(w, np.concatenate(parts, axis=1))

    width = FIELDS * WIDTH + WIDTH**2 + (FIELDS * (FIELDS - 1) // 2 if product == "both" else 0)
    shapes = {
        "mlp/dense_0/kernel": (width, 5),
        "mlp/dense_0/bias": (5,),
        "output_unit/kernel": (5, 1),
        "output_unit/bias": (1,),
    }
    settings = {"embedding_dim": WIDTH, "hidden_units": [5], "product": product}
    source = "the paper's formulas, in NumPy"
    return Case("pnn", settings, lambda: Formula(shapes, formula), dict, source=source)


SETTINGS = {"embedding_dim": WIDTH, "hidden_units": [6, 3]}
CASES = {
    "pnn": Case("pnn", SETTINGS, inner, inner_weights(norm=False)),
    "pnn_norm": Case(
        "pnn",
        {**SETTINGS, "batch_norm": True, "activation": "tanh"},
        lambda: inner(batch_norm=True, hidden_activations="tanh"),
        inner_weights(norm=True),
    ),
    "pnn_outer": paper("outer"),
    "pnn_both": paper("both"),
}
