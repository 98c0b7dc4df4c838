"""DIN of FuxiCTR: attention for each history, and one for two histories side by side."""

from harness import PLAIN, SCHEMA, Case, Torch, dense, embedding, feature_map

HISTORIES = {
    **SCHEMA,
    "categorical": [
        *SCHEMA["categorical"],
        {"name": "item_history", "size": 9, "length": 4, "shares": "item"},
        {"name": "place_history", "size": 5, "length": 4, "shares": "place"},
    ],
}
WIDTHS = {"attention_hidden_units": [5, 3], "dnn_hidden_units": [6, 3], "dnn_activations": "Dice"}


class Padded(Torch):
    """DIN of FuxiCTR with zeros for padding, as it starts, and histories of one length."""

    def randomize(self, rng):
        super().randomize(rng)
        for name, value in self.parameters.items():
            if "embedding_layers" in name and not name.endswith(("price.weight", "age.weight")):
                value[0] = 0

    def logits(self, features):
        # Its softmax sees the second history where the first one is empty.
        ids = features["ids"].copy()
        ids[:, -4:][ids[:, -8:-4] < 0] = -1
        return super().logits({**features, "ids": ids})


def reference(kind=Torch, **settings):
    from model_zoo.DIN.src.DIN import DIN

    module = DIN(feature_map(HISTORIES), embedding_dim=4, **WIDTHS, **settings, **PLAIN)
    return kind(module)


def dice(theirs, path, ours):
    return {
        f"{ours}/slope": theirs[f"{path}.alpha"],
        f"{ours}/norm/moving_mean": theirs[f"{path}.bn.running_mean"],
        f"{ours}/norm/moving_variance": theirs[f"{path}.bn.running_var"],
    }


def weights(theirs):
    found = embedding(theirs, "embedding_layer", "embedding", HISTORIES)
    found |= layers(theirs, "dnn.mlp", "mlp", "output_unit")
    for i in range(2):
        path = f"attention_layers.{i}.attention_layer.mlp"
        if f"{path}.0.weight" in theirs:
            found |= layers(theirs, path, f"attention_{i}/mlp", f"attention_{i}/score")
    return found


def layers(theirs, path, ours, output):
    """Two hidden layers with Dice, and the output."""
    found = dense(theirs, f"{path}.4", output)
    for i in range(2):
        found |= dense(theirs, f"{path}.{2 * i}", f"{ours}/dense_{i}")
        found |= dice(theirs, f"{path}.{2 * i + 1}", f"{ours}/act_{i}")
    return found


SETTINGS = {"embedding_dim": 4, "attention_hidden_units": [5, 3], "hidden_units": [6, 3]}
CASES = {
    "din": Case(
        "din",
        SETTINGS,
        lambda: reference(
            din_target_field=["item", "place"], din_sequence_field=["item_history", "place_history"]
        ),
        weights,
        schema=HISTORIES,
    ),
    "din_tuple": Case(
        "din",
        {
            **SETTINGS,
            "softmax": True,
            "targets": [["item", "place"]],
            "sequences": [["item_history", "place_history"]],
        },
        lambda: reference(
            Padded,
            din_target_field=[("item", "place")],
            din_sequence_field=[("item_history", "place_history")],
            din_use_softmax=True,
        ),
        weights,
        schema=HISTORIES,
    ),
}
