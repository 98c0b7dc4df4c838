"""LR, FM and Wide & Deep of FuxiCTR."""

from harness import PLAIN, Case, Torch, embedding, feature_map, linear, mlp


def lr():
    from model_zoo.LR.src.LR import LR

    return Torch(LR(feature_map(), **PLAIN))


def fm():
    from model_zoo.FM.src.FM import FM

    return Torch(FM(feature_map(), embedding_dim=4, **PLAIN))


def fm_weights(theirs):
    return {
        **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
        **linear(theirs, "fm.lr_layer"),
    }


def widedeep(**settings):
    from model_zoo.WideDeep.WideDeep_torch.src.WideDeep import WideDeep

    return Torch(WideDeep(feature_map(), embedding_dim=4, hidden_units=[6, 3], **settings, **PLAIN))


def widedeep_weights(norm):
    def ours(theirs):
        inner = "lr_layer.embedding_layer.embedding_layer"
        return {
            **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
            **embedding(theirs, inner, "linear/weights"),
            **mlp(theirs, "dnn", norm=norm),
        }

    return ours


WIDE = {"embedding_dim": 4, "hidden_units": [6, 3]}
CASES = {
    "lr": Case("lr", {}, lr, lambda theirs: linear(theirs, "lr_layer")),
    "fm": Case("fm", {"embedding_dim": 4}, fm, fm_weights),
    "widedeep": Case("widedeep", WIDE, widedeep, widedeep_weights(norm=False)),
    "widedeep_norm": Case(
        "widedeep",
        {**WIDE, "batch_norm": True, "activation": "sigmoid"},
        lambda: widedeep(batch_norm=True, hidden_activations="sigmoid"),
        widedeep_weights(norm=True),
    ),
}
