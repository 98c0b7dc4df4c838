"""DeepFM of FuxiCTR, with and without batch normalization."""

from harness import PLAIN, Case, Torch, feature_map, shallow_and_deep


def reference(**settings):
    from model_zoo.DeepFM.DeepFM_torch.src.DeepFM import DeepFM

    return Torch(DeepFM(feature_map(), embedding_dim=4, hidden_units=[6, 3], **settings, **PLAIN))


SETTINGS = {"embedding_dim": 4, "hidden_units": [6, 3]}
CASES = {
    "deepfm": Case("deepfm", SETTINGS, reference, shallow_and_deep(False, "fm.lr_layer")),
    "deepfm_norm": Case(
        "deepfm",
        {**SETTINGS, "batch_norm": True},
        lambda: reference(batch_norm=True),
        shallow_and_deep(True, "fm.lr_layer"),
    ),
}
