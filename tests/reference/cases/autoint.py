"""AutoInt and AutoInt+ of FuxiCTR."""

from harness import PLAIN, Case, Torch, batch_norm, dense, embedding, feature_map, linear, mlp

HEADS = {"attention_dim": 6, "num_heads": 2}


def reference(**settings):
    from model_zoo.AutoInt.src.AutoInt import AutoInt

    settings = {"dnn_hidden_units": [], **HEADS, **settings}
    return Torch(AutoInt(feature_map(), embedding_dim=4, **settings, **PLAIN))


def attention(theirs, layers, norm):
    found = {}
    for i in range(layers):
        path = f"self_attention.{i}"
        names = {"W_q": "query", "W_k": "key", "W_v": "value", "W_res": "residual"}
        for name, ours in names.items():
            if f"{path}.{name}.weight" in theirs:
                found[f"attention_{i}/{ours}"] = theirs[f"{path}.{name}.weight"].T
        if norm:
            found |= batch_norm(theirs, f"{path}.layer_norm", f"attention_{i}/norm")
    return found


def weights(plus):
    def ours(theirs):
        found = {
            **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
            **attention(theirs, 2, norm=plus),
            **dense(theirs, "fc", "output_unit"),
        }
        if plus:
            found |= mlp(theirs, "dnn", output="deep_unit")
            found |= linear(theirs, "lr_layer")
        return found

    return ours


SETTINGS = {"embedding_dim": 4, "attention_layers": 2, "attention_dim": 6, "heads": 2}
PLUS = {"layer_norm": True, "scale": True, "linear": True, "hidden_units": [5, 3]}
CASES = {
    "autoint": Case("autoint", SETTINGS, reference, weights(plus=False)),
    "autoint_plus": Case(
        "autoint",
        {**SETTINGS, **PLUS},
        lambda: reference(dnn_hidden_units=[5, 3], layer_norm=True, use_scale=True, use_wide=True),
        weights(plus=True),
    ),
}
