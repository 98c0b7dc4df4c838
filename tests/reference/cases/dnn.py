"""DNN of FuxiCTR, with and without batch normalization."""

from harness import PLAIN, Case, Torch, feature_map, shallow_and_deep


def reference(spread=0.4, **settings):
    from model_zoo.DNN.DNN_torch.src.DNN import DNN

    settings = {"embedding_dim": 4, "hidden_units": [6, 3], **settings}
    return Torch(DNN(feature_map(), **settings, **PLAIN), spread)


SETTINGS = {"embedding_dim": 4, "hidden_units": [6, 3]}
CASES = {
    "dnn": Case("dnn", SETTINGS, reference, shallow_and_deep(False)),
    "dnn_norm": Case(
        "dnn",
        {**SETTINGS, "batch_norm": True},
        # With smaller weights all rows have nearly the same logit.
        lambda: reference(spread=0.8, batch_norm=True),
        shallow_and_deep(True),
    ),
}
