"""FuxiCTR's model on the shape of `benchmarks/shape.py`; prints a line of JSON.

    python benchmarks/peers/fuxictr_models.py CLONE_OF_FUXICTR MODEL

Runs in an environment with `torch` and `fuxictr`, which needs neither TensorFlow nor this project.
"""

import importlib
import json
import pathlib
import sys
from collections import OrderedDict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from shape import BATCH, DIM, FIELDS, HIDDEN, HISTORY, NUMBERS, SIZE, batches, histories

from peers.timing import rows_per_second

UNITS = list(HIDDEN)
MLP = {"hidden_units": UNITS}
DNN = {"dnn_hidden_units": UNITS}
# From the name in the zoo to the module in FuxiCTR's model_zoo, the class and its settings.
MODELS = {
    "lr": ("LR.src.LR", "LR", {}),
    "fm": ("FM.src.FM", "FM", {}),
    "dnn": ("DNN.DNN_torch.src.DNN", "DNN", MLP),
    "widedeep": ("WideDeep.WideDeep_torch.src.WideDeep", "WideDeep", MLP),
    "pnn": ("PNN.src.PNN", "PNN", {**MLP, "product_type": "inner"}),
    "deepfm": ("DeepFM.DeepFM_torch.src.DeepFM", "DeepFM", MLP),
    "dcn": ("DCN.DCN_torch.src.DCN", "DCN", {**DNN, "num_cross_layers": 3}),
    "dcnv2": (
        "DCNv2.src.DCNv2",
        "DCNv2",
        {"parallel_dnn_hidden_units": UNITS, "num_cross_layers": 3, "model_structure": "parallel"},
    ),
    "dlrm": (
        "DLRM.src.DLRM",
        "DLRM",
        {"top_mlp_units": UNITS, "bottom_mlp_units": [64, 64]},
    ),
    "xdeepfm": (
        "xDeepFM.src.xDeepFM",
        "xDeepFM",
        {**DNN, "cin_hidden_units": [16, 16, 16]},
    ),
    "finalmlp": (
        "FinalMLP.src.FinalMLP",
        "FinalMLP",
        {"mlp1_hidden_units": UNITS, "mlp2_hidden_units": UNITS, "num_heads": 1},
    ),
    "finalnet": (
        "FinalNet.src.FinalNet",
        "FinalNet",
        {"block_type": "1B", "block1_hidden_units": UNITS},
    ),
    "gdcn": (
        "GDCN.src.GDCN",
        "GDCNP",
        {**DNN, "num_cross_layers": 3},
    ),
    "dcnv3": ("DCNv3.src.DCNv3", "DCNv3", {}),
    "masknet": ("MaskNet.src.MaskNet", "MaskNet", {**DNN, "model_type": "SerialMaskNet"}),
    "fibinet": ("FiBiNET.src.FiBiNET", "FiBiNET", MLP),
    "autoint": (
        "AutoInt.src.AutoInt",
        "AutoInt",
        {**DNN, "attention_layers": 2, "num_heads": 2, "attention_dim": 16},
    ),
    "din": (
        "DIN.src.DIN",
        "DIN",
        {
            **DNN,
            "attention_hidden_units": [64],
            "din_target_field": ["c0"],
            "din_sequence_field": ["history"],
        },
    ),
    "edcn": ("EDCN.src.EDCN", "EDCN", {"num_cross_layers": 3}),
    "afn": (
        "AFN.src.AFN",
        "AFN",
        {"afn_hidden_units": UNITS, "logarithmic_neurons": 100, "ensemble_dnn": False},
    ),
}
PLAIN = {
    "gpu": -1, "optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["AUC"],
    "verbose": 0, "model_root": "/tmp", "embedding_dim": DIM,
}  # fmt: skip


def feature_map(has_history: bool):
    """Returns FuxiCTR's description of the shape."""
    from fuxictr.features import FeatureMap

    found = FeatureMap("shape", "/tmp")
    specs: OrderedDict[str, dict] = OrderedDict()
    for place in range(FIELDS):
        specs[f"c{place}"] = {"source": "", "type": "categorical", "vocab_size": SIZE}
    if has_history:
        specs["c0"]["padding_idx"] = 0
        specs["history"] = {**specs["c0"], "share_embedding": "c0"}
        specs["history"] |= {"type": "sequence", "max_len": HISTORY}
    for place in range(NUMBERS):
        specs[f"n{place}"] = {"source": "", "type": "numeric"}
    found.features, found.labels, found.num_fields = specs, ["label"], len(specs)
    found.default_emb_dim = DIM
    found.set_column_index()
    return found


def main(name: str) -> None:
    """Builds, trains and serves a model."""
    import torch

    module, cls, settings = MODELS[name]
    model = getattr(importlib.import_module(f"model_zoo.{module}"), cls)
    model = model(feature_map(name == "din"), **settings, **PLAIN)
    model._max_gradient_norm = 10.0
    data = []
    for batch, history in zip(batches(), histories(), strict=True):
        columns = {f"c{place}": torch.tensor(batch["ids"][:, place]) for place in range(FIELDS)}
        columns |= {f"n{p}": torch.tensor(batch["numeric"][:, p : p + 1]) for p in range(NUMBERS)}
        if name == "din":
            columns["history"] = torch.tensor(history)
        data.append({**columns, "label": torch.tensor(batch["label"][:, 0])})
    model.train()
    trained = rows_per_second(lambda number: model.train_step(data[number]), BATCH)
    model.eval()
    with torch.no_grad():
        inferred = rows_per_second(lambda number: model(data[number]), BATCH)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(json.dumps({"parameters": parameters, "trained": trained, "inferred": inferred}))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main(sys.argv[2])
