"""DeepFM of FuxiCTR, with and without batch normalization."""

from harness import PLAIN, Case, Torch, embedding, feature_map, linear, mlp


def reference(**settings):
    from model_zoo.DeepFM.DeepFM_torch.src.DeepFM import DeepFM

    return Torch(DeepFM(feature_map(), embedding_dim=4, hidden_units=[6, 3], **settings, **PLAIN))


def weights(norm):
    def ours(theirs):
        return {
            **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
            **linear(theirs, "fm.lr_layer"),
            **mlp(theirs, "mlp", norm=norm),
        }

    return ours


SETTINGS = {"embedding_dim": 4, "hidden_units": [6, 3]}
CASES = {
    "deepfm": Case("deepfm", SETTINGS, reference, weights(norm=False)),
    "deepfm_norm": Case(
        "deepfm",
        {**SETTINGS, "batch_norm": True},
        lambda: reference(batch_norm=True),
        weights(norm=True),
    ),
}
