"""EDCN of FuxiCTR with each bridge, and as the paper has it: its cross layers add their input."""

import numpy as np
from harness import PLAIN, Case, Torch, batch_norm, dense, embedding, feature_map

LAYERS = 3


class Plain(Torch):
    """EDCN of FuxiCTR; without the second attention of its bridges, which is not used."""

    def randomize(self, rng):
        super().randomize(rng)
        for name, value in self.parameters.items():
            if name.startswith(("embedding_layer", "fc.weight")):
                value *= 6  # the gates divide by the number of columns in every layer

    @property
    def count(self):
        unused = [p for name, p in self.module.named_parameters() if ".attention2." in name]
        return super().count - sum(p.numel() for p in unused)


class Paper(Plain):
    """The same weights in the paper's formulas."""

    def logits(self, features):
        w = {name: value.astype(np.float64) for name, value in self.parameters.items()}
        ids, numbers = features["ids"], features["numeric"]
        path = "embedding_layer.embedding_layer.embedding_layers"
        columns = []
        for place, name in enumerate(self.module.feature_map.features):
            table = w[f"{path}.{name}.weight"]
            if place < ids.shape[1]:
                columns.append(table[ids[:, place]])
            else:
                columns.append(numbers[:, place - ids.shape[1], None] * table[:, 0])
        shared = np.concatenate(columns, axis=1)
        first = None
        for i in range(LAYERS):
            gates = [np.exp(w[f"regulation_modules.{i}.g{k}"]) for k in (1, 2)]
            gates = [np.repeat(gate / gate.sum(), 4) for gate in gates]
            x, h = shared * gates[0], shared * gates[1]
            first = x if i == 0 else first
            cross = f"cross_layers.{i}"
            x = first * (x @ w[f"{cross}.weight.weight"].T) + w[f"{cross}.bias"] + x
            deep = f"dense_layers.{i}.mlp.0"
            h = np.maximum(h @ w[f"{deep}.weight"].T + w[f"{deep}.bias"], 0)
            shared = x * h
        joined = np.concatenate([x, h, shared], axis=1)
        return (joined @ w["fc.weight"].T + w["fc.bias"])[:, 0]


def reference(kind=Plain, **settings):
    from model_zoo.EDCN.src.EDCN import EDCN

    return kind(EDCN(feature_map(), embedding_dim=4, num_cross_layers=LAYERS, **settings, **PLAIN))


def weights(theirs):
    found = embedding(theirs, "embedding_layer.embedding_layer", "embedding")
    found |= dense(theirs, "fc", "output_unit")
    for i in range(LAYERS):
        gates = [theirs[f"regulation_modules.{i}.g{k}"] for k in (1, 2)]
        found[f"regulation_{i}/gates"] = np.stack(gates)
        found |= batch_norm(theirs, f"regulation_modules.{i}.bn1", f"regulation_{i}/cross_norm")
        found |= batch_norm(theirs, f"regulation_modules.{i}.bn2", f"regulation_{i}/deep_norm")
        found[f"cross_{i}/kernel"] = theirs[f"cross_layers.{i}.weight.weight"].T
        found[f"cross_{i}/bias"] = theirs[f"cross_layers.{i}.bias"]
        found |= dense(theirs, f"dense_layers.{i}.mlp.0", f"deep_{i}/dense_0")
        bridge = f"bridge_modules.{i}"
        pairs = {"concat_pooling.0": "dense", "attention1.0": "dense", "attention1.2": "scores"}
        for name, ours in pairs.items():
            if f"{bridge}.{name}.weight" in theirs:
                found |= dense(theirs, f"{bridge}.{name}", f"bridge_{i}/{ours}")
    return found


SETTINGS = {"embedding_dim": 4, "cross_layers": LAYERS, "batch_norm": False}
AS_THEIRS = {**SETTINGS, "cross_residual": False}
CASES = {
    "edcn": Case(
        "edcn", SETTINGS, lambda: reference(Paper), weights, source="the paper's formulas, in NumPy"
    ),
    "edcn_product": Case(
        "edcn",
        {**AS_THEIRS, "batch_norm": True, "temperature": 0.5},
        lambda: reference(batch_norm=True, temperature=0.5),
        weights,
    ),
    "edcn_sum": Case(
        "edcn",
        {**AS_THEIRS, "bridge": "sum"},
        lambda: reference(bridge_type="pointwise_addition"),
        weights,
    ),
    "edcn_concatenation": Case(
        "edcn",
        {**AS_THEIRS, "bridge": "concatenation"},
        lambda: reference(bridge_type="concatenation"),
        weights,
    ),
    "edcn_attention": Case(
        "edcn",
        {**AS_THEIRS, "bridge": "attention"},
        lambda: reference(bridge_type="attention_pooling"),
        weights,
    ),
}
