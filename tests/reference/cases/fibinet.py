"""FiBiNET of FuxiCTR, with each kind of bilinear product."""

import numpy as np
from harness import PLAIN, Case, Torch, dense, embedding, feature_map, mlp


def reference(kind, **settings):
    from model_zoo.FiBiNET.src.FiBiNET import FiBiNET

    return Torch(
        FiBiNET(
            feature_map(),
            embedding_dim=4,
            hidden_units=[6, 3],
            bilinear_type=f"field_{kind}",
            **settings,
            **PLAIN,
        )
    )


def matrices(theirs):
    """d x d matrices, one or several, side by side."""
    several = theirs if theirs.ndim == 3 else theirs[None]
    return np.concatenate(list(several), axis=1)


def weights(norm):
    def ours(theirs):
        found = {
            **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
            **embedding(theirs, "lr_layer.embedding_layer.embedding_layer", "linear/weights"),
            **dense(theirs, "senet_layer.excitation.0", "senet/squeeze"),
            **dense(theirs, "senet_layer.excitation.2", "senet/excite"),
            **mlp(theirs, "dnn", norm=norm),
        }
        # Their MLP's last bias is our linear part's.
        found["linear/bias"] = found.pop("output_unit/bias")
        for number, name in ((1, "pairs"), (2, "weighed_pairs")):
            found[f"{name}/kernel"] = matrices(theirs[f"bilinear_interaction{number}.bilinear_W"])
        return found

    return ours


def case(kind, norm=False, **theirs):
    ours = {"excitation": "sigmoid"} if theirs else {}
    norms = {"batch_norm": True} if norm else {}
    return Case(
        "fibinet",
        {"embedding_dim": 4, "hidden_units": [6, 3], "bilinear": kind, **norms, **ours},
        lambda: reference(kind, **norms, **theirs),
        weights(norm),
    )


CASES = {
    "fibinet_all": case("all"),
    "fibinet_each": case("each"),
    "fibinet_interaction": case("interaction"),
    "fibinet_norm": case("all", norm=True, excitation_activation="sigmoid"),
}
