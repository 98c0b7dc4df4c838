"""AFN and AFN+ of FuxiCTR."""

import numpy as np
from harness import PLAIN, Case, Torch, batch_norm, dense, embedding, feature_map, mlp

NEURONS = 5


class Loud(Torch):
    """The DNN's weights are larger, so that they affect the logits."""

    def randomize(self, rng):
        super().randomize(rng)
        for name, value in self.parameters.items():
            if name.startswith(("dnn.mlp", "embedding_layer2")):
                value *= 3


def reference(**settings):
    from model_zoo.AFN.src.AFN import AFN

    widths = {"afn_hidden_units": [6, 3], "dnn_hidden_units": [7]}
    settings = {**widths, "logarithmic_neurons": NEURONS, **settings}
    return Loud(AFN(feature_map(), embedding_dim=4, **settings, **PLAIN))


def weights(theirs):
    found = {
        **embedding(theirs, "embedding_layer.embedding_layer", "embedding"),
        **batch_norm(theirs, "log_batch_norm", "products/log_norm"),
        **batch_norm(theirs, "exp_batch_norm", "products/exp_norm"),
        **dense(theirs, "coefficient_W", "products/powers"),
        **mlp(theirs, "dense_layer", norm="dense_layer.mlp.1.running_var" in theirs),
    }
    # Theirs are neuron by neuron, ours dimension by dimension.
    kernel = found["mlp/dense_0/kernel"].reshape(NEURONS, 4, -1)
    found["mlp/dense_0/kernel"] = np.swapaxes(kernel, 0, 1).reshape(NEURONS * 4, -1)
    if "fc.weight" in theirs:
        found |= embedding(theirs, "embedding_layer2.embedding_layer", "deep_embedding")
        found |= mlp(theirs, "dnn", ours="deep", output="deep_unit", norm=True)
        found |= dense(theirs, "fc", "mixture")
    return found


SETTINGS = {"embedding_dim": 4, "neurons": NEURONS, "hidden_units": [6, 3]}
CASES = {
    "afn": Case(
        "afn",
        {**SETTINGS, "batch_norm": False},
        lambda: reference(ensemble_dnn=False, batch_norm=False),
        weights,
    ),
    "afn_plus": Case(
        "afn", {**SETTINGS, "ensemble": True, "deep_hidden_units": [7]}, reference, weights
    ),
}
