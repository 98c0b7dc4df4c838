"""References that are formulas in NumPy, on the same schema and rows as FuxiCTR's models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from harness import NUMBERS, SIZES


class Formula:
    """A model written in NumPy, with the names of the weights in the zoo.

    Args:
        shapes: of the weights, besides those of the embedding that every model has.
        formula: from the weights, in double precision, and `[B, fields, d]` embeddings to `[B]`.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple],
        formula: Callable[..., np.ndarray],
        embedding_dim: int = 4,
    ):
        table = {"embedding/table/embeddings": (sum(SIZES.values()), embedding_dim)}
        table["embedding/numeric_vectors"] = (len(NUMBERS), embedding_dim)
        self.parameters = {name: np.zeros(shape) for name, shape in {**table, **shapes}.items()}
        self.formula = formula

    def randomize(self, rng: np.random.Generator) -> None:
        for name, value in self.parameters.items():
            # What our model will hold is float32.
            self.parameters[name] = rng.normal(0, 0.4, value.shape).astype(np.float32)

    @property
    def count(self) -> int:
        return sum(value.size for value in self.parameters.values())

    def logits(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        w = {name: value.astype(np.float64) for name, value in self.parameters.items()}
        table, vectors = w["embedding/table/embeddings"], w["embedding/numeric_vectors"]
        first_rows = np.cumsum([0, *SIZES.values()])[:-1]
        embedded = table[features["ids"] + first_rows]
        numbers = features["numeric"][:, :, None] * vectors
        return self.formula(w, np.concatenate([embedded, numbers], axis=1))


def numpy_mlp(
    w: Mapping[str, np.ndarray],
    x: np.ndarray,
    ours: str = "mlp",
    output: str | None = "output_unit",
) -> np.ndarray:
    """The zoo's MLP with ReLU in NumPy; `[B]` if it has an output unit."""
    layer = 0
    while f"{ours}/dense_{layer}/kernel" in w:
        path = f"{ours}/dense_{layer}"
        x = np.maximum(x @ w[f"{path}/kernel"] + w[f"{path}/bias"], 0)
        layer += 1
    return x if output is None else (x @ w[f"{output}/kernel"] + w[f"{output}/bias"])[:, 0]
