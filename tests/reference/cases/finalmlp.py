"""FinalMLP of FuxiCTR: gates with and without contexts, several heads, no gates."""

from harness import PLAIN, Case, Torch, dense, embedding, feature_map, mlp


def reference(**settings):
    from model_zoo.FinalMLP.src.FinalMLP import FinalMLP

    return Torch(FinalMLP(feature_map(), embedding_dim=4, **settings, **PLAIN), spread=0.8)


def weights(gates, norms=(False, False)):
    def ours(theirs):
        found = {
            **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
            **mlp(theirs, "mlp1", ours="first_mlp", output=None, norm=norms[0]),
            **mlp(theirs, "mlp2", ours="second_mlp", output=None, norm=norms[1]),
            **dense(theirs, "fusion_module.w_x", "fusion/first"),
            **dense(theirs, "fusion_module.w_y", "fusion/second"),
            "fusion/kernel": theirs["fusion_module.w_xy"],
        }
        for number, stream in ((1, "first"), (2, "second")) if gates else ():
            gate = f"fs_module.fs{number}_gate"
            found |= mlp(theirs, gate, ours=f"{stream}_gate/mlp", output=f"{stream}_gate/gate")
            bias = f"fs_module.fs{number}_ctx_bias"
            if bias in theirs:
                found[f"{stream}_gate/context"] = theirs[bias]
            path = f"fs_module.fs{number}_ctx_emb.embedding_layer.embedding_layers"
            if f"{path}.item.weight" in theirs:
                found[f"{stream}_context/table/embeddings"] = theirs[f"{path}.item.weight"]
            if f"{path}.age.weight" in theirs:
                found[f"{stream}_context/numeric_vectors"] = theirs[f"{path}.age.weight"].T
        return found

    return ours


CASES = {
    "finalmlp": Case(
        "finalmlp",
        {
            "embedding_dim": 4,
            "hidden_units": [6, 4],
            "second_hidden_units": [5, 8],
            "gate_units": [7],
            "heads": 2,
        },
        lambda: reference(
            mlp1_hidden_units=[6, 4], mlp2_hidden_units=[5, 8], fs_hidden_units=[7], num_heads=2
        ),
        weights(gates=True),
    ),
    "finalmlp_contexts": Case(
        "finalmlp",
        {
            "embedding_dim": 4,
            "hidden_units": [6, 4],
            "second_batch_norm": True,
            "gate_units": [7, 5],
            "first_context": ["age", "item"],
            "second_context": ["item"],
        },
        lambda: reference(
            mlp1_hidden_units=[6, 4],
            mlp2_hidden_units=[6, 4],
            mlp2_batch_norm=True,
            fs_hidden_units=[7, 5],
            fs1_context=["age", "item"],
            fs2_context=["item"],
        ),
        weights(gates=True, norms=(False, True)),
    ),
    "finalmlp_plain": Case(
        "finalmlp",
        {"embedding_dim": 4, "hidden_units": [6, 4], "gates": False, "heads": 4},
        lambda: reference(
            mlp1_hidden_units=[6, 4], mlp2_hidden_units=[6, 4], use_fs=False, num_heads=4
        ),
        weights(gates=False),
    ),
}
