"""Helpers for all cases: a schema, random rows, and FuxiCTR's description of them."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

ROWS = 24
# Our schema as `zoo.Schema` takes it; numbers are used as they are.
SIZES = {"user": 12, "item": 9, "place": 5, "hour": 4}
NUMBERS = ("price", "age")
SCHEMA = {
    "name": "reference",
    "categorical": [{"name": name, "size": size} for name, size in SIZES.items()],
    "numeric": [{"name": name, "transform": "none"} for name in NUMBERS],
}
# What every constructor of FuxiCTR asks for.
PLAIN = {
    "gpu": -1, "optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["AUC"],
    "verbose": 0, "model_root": "/tmp/reference",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, its reference, and the names of the weights in both.

    Attributes:
        model: name in the zoo.
        settings: arguments of the zoo's model.
        reference: function that returns an object with `parameters` (by name, arrays that can be
            set) and `logits(features) -> [B]`; see `Torch` for FuxiCTR's models.
        weights: function from the reference's parameters to the zoo's weights, by the path below
            the model's name.
        source: what the reference is.
        schema: the columns.
    """

    model: str
    settings: Mapping[str, Any]
    reference: Callable[[], Any]
    weights: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
    source: str = "FuxiCTR 2.3.10"
    schema: Mapping[str, Any] = dataclasses.field(default_factory=lambda: SCHEMA)


class Torch:
    """A model of FuxiCTR; its logits are what it returns before the sigmoid.

    Args:
        module: the model.
        spread: standard deviation of its random weights.
    """

    def __init__(self, module: Any, spread: float = 0.4):
        import torch

        self.spread = spread

        self.module = module.eval()
        # Some models hand their sigmoid on to the MLP that ends them.
        for part in list(module.modules()):
            for name, child in list(part.named_children()):
                if child is module.output_activation and part is not module:
                    setattr(part, name, torch.nn.Identity())
        module.output_activation = torch.nn.Identity()

    def randomize(self, rng: np.random.Generator) -> None:
        import torch

        with torch.no_grad():
            for name, value in self.module.state_dict().items():
                # Counters, masks and places are no weights.
                if not value.is_floating_point():
                    continue
                drawn = rng.normal(0, self.spread, value.shape)
                if name.endswith("running_var"):
                    drawn = np.abs(drawn) + 0.5
                value.copy_(torch.tensor(drawn, dtype=value.dtype))

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in self.module.state_dict().items()}

    @property
    def count(self) -> int:
        """Trained numbers."""
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)

    def logits(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        import torch

        columns, place = {}, 0
        for field in self.module.feature_map.features.items():
            name, spec = field
            if spec["type"] == "numeric":
                continue
            width = spec.get("max_len", 1)
            values = features["ids"][:, place : place + width]
            # FuxiCTR pads with 0; its encoders mask that id.
            values = np.where(values < 0, 0, values)
            columns[name] = torch.tensor(values if spec["type"] == "sequence" else values[:, 0])
            place += width
        for place, name in enumerate(NUMBERS if "numeric" in features else ()):
            columns[name] = torch.tensor(features["numeric"][:, place : place + 1])
        with torch.no_grad():
            return self.module(columns)["y_pred"].numpy().reshape(-1)


def feature_map(schema: Mapping[str, Any] = SCHEMA, embedding_dim: int = 4) -> Any:
    """FuxiCTR's description of a schema."""
    from fuxictr.features import FeatureMap

    found = FeatureMap("reference", "/tmp/reference")
    specs: OrderedDict[str, dict] = OrderedDict()
    for field in schema["categorical"]:
        specs[field["name"]] = {
            "source": "", "type": "categorical", "vocab_size": field["size"], "padding_idx": 0
        }  # fmt: skip
        if field.get("length", 1) > 1:
            specs[field["name"]] |= {"type": "sequence", "max_len": field["length"]}
        if field.get("shares"):
            specs[field["name"]]["share_embedding"] = field["shares"]
    for column in schema["numeric"]:
        specs[column["name"]] = {"source": "", "type": "numeric"}
    found.features, found.labels = specs, ["label"]
    found.num_fields = len(specs)
    found.total_features = sum(spec.get("vocab_size", 1) for spec in specs.values())
    found.default_emb_dim = embedding_dim
    found.set_column_index()
    return found


def embedding(
    parameters: Mapping[str, np.ndarray], prefix: str, ours: str, schema: Mapping = SCHEMA
) -> dict:
    """The tables of all fields as one, and the vectors of the numbers."""
    path = f"{prefix}.embedding_layers"
    owners = [field["name"] for field in schema["categorical"] if not field.get("shares")]
    tables = [parameters[f"{path}.{name}.weight"] for name in owners]
    vectors = [parameters[f"{path}.{name}.weight"][:, 0] for name in NUMBERS]
    return {
        f"{ours}/table/embeddings": np.concatenate(tables),
        f"{ours}/numeric_vectors": np.stack(vectors),
    }


def linear(parameters: Mapping[str, np.ndarray], prefix: str) -> dict:
    """FuxiCTR's `LogisticRegression` as the zoo's `Linear`."""
    inner = f"{prefix}.embedding_layer.embedding_layer"
    found = embedding(parameters, inner, "linear/weights")
    if f"{prefix}.bias" in parameters:
        found["linear/bias"] = parameters[f"{prefix}.bias"]
    return found


def shallow_and_deep(norm: bool, linear_part: str | None = None) -> Callable[[Mapping], dict]:
    """What finds the weights of a model with an embedding, an MLP and perhaps a linear part."""

    def weights(theirs: Mapping[str, np.ndarray]) -> dict:
        found = embedding(theirs, "embedding_layer.embedding_layer", "embedding")
        if linear_part is not None:
            found |= linear(theirs, linear_part)
        return found | mlp(theirs, "mlp", norm=norm)

    return weights


def dense(parameters: Mapping[str, np.ndarray], theirs: str, ours: str) -> dict:
    """A `torch.nn.Linear` as a Keras `Dense`."""
    found = {f"{ours}/kernel": parameters[f"{theirs}.weight"].T}
    if f"{theirs}.bias" in parameters:
        found[f"{ours}/bias"] = parameters[f"{theirs}.bias"]
    return found


def batch_norm(parameters: Mapping[str, np.ndarray], theirs: str, ours: str) -> dict:
    """A `torch.nn.BatchNorm1d` as a Keras `BatchNormalization`."""
    names = {"weight": "gamma", "bias": "beta"}
    names |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
    return {
        f"{ours}/{mine}": parameters[f"{theirs}.{name}"]
        for name, mine in names.items()
        if f"{theirs}.{name}" in parameters
    }


def mlp(
    parameters: Mapping[str, np.ndarray],
    prefix: str,
    ours: str = "mlp",
    output: str | None = "output_unit",
    norm: bool = False,
) -> dict:
    """FuxiCTR's `MLP_Block` (hidden layers and output, if any) as the zoo's MLP and output unit."""
    places = sorted(
        {int(name[len(prefix) + 5 :].split(".")[0]) for name in parameters
         if name.startswith(f"{prefix}.mlp.")}
    )  # fmt: skip
    layers = [p for p in places if np.ndim(parameters[f"{prefix}.mlp.{p}.weight"]) == 2]
    found = {}
    hidden = layers if output is None else layers[:-1]
    for number, place in enumerate(hidden):
        found |= dense(parameters, f"{prefix}.mlp.{place}", f"{ours}/dense_{number}")
        if norm:
            found |= batch_norm(parameters, f"{prefix}.mlp.{place + 1}", f"{ours}/norm_{number}")
    if output is not None:
        found |= dense(parameters, f"{prefix}.mlp.{layers[-1]}", output)
    return found
