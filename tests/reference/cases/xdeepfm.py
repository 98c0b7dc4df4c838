"""xDeepFM of FuxiCTR."""

from harness import PLAIN, Case, Torch, embedding, feature_map, mlp

SETTINGS = {"embedding_dim": 4, "hidden_units": [6, 3]}


def reference(cin, **settings):
    from model_zoo.xDeepFM.src.xDeepFM import xDeepFM

    return Torch(
        xDeepFM(
            feature_map(),
            embedding_dim=4,
            dnn_hidden_units=[6, 3],
            cin_hidden_units=cin,
            **settings,
            **PLAIN,
        )
    )


def weights(norm, layers):
    def ours(theirs):
        found = {
            **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
            **embedding(theirs, "lr_layer.embedding_layer.embedding_layer", "linear/weights"),
            **mlp(theirs, "dnn", norm=norm),
            # Their CIN's last bias is our linear part's.
            "linear/bias": theirs["cin.fc.bias"],
            "cin_unit/kernel": theirs["cin.fc.weight"].T,
        }
        for i in range(layers):
            layer = f"cin.cin_layer.layer_{i + 1}"
            kernel = theirs[f"{layer}.weight"][:, :, 0].T
            found[f"cin/kernel_{i}"] = kernel
            found[f"cin/bias_{i}"] = theirs[f"{layer}.bias"]
        return found

    return ours


def case(cin, norm=False):
    settings = {"batch_norm": True} if norm else {}
    return Case(
        "xdeepfm",
        {**SETTINGS, "cin_units": cin, **settings},
        lambda: reference(cin, **settings),
        weights(norm, len(cin)),
    )


# Few filters and many, growing and shrinking: each way of multiplying is taken.
CASES = {
    "xdeepfm": case([5, 3, 4]),
    "xdeepfm_wide": case([20, 9, 12, 2]),
    "xdeepfm_norm": case([3], norm=True),
}
