"""WuKong from its paper's formulas: FuxiCTR's model of this name is another one."""

import math

import numpy as np
from harness import NUMBERS, SIZES, Case

FIELDS, WIDTH = len(SIZES) + len(NUMBERS), 4


class Formula:
    """Sections 3.2 to 3.6 of arXiv 2403.02545, row by row."""

    def __init__(self, layers, fmb, lcb, projection, fmb_units, hidden_units):
        self.layers, self.fmb, self.lcb, self.depth = layers, fmb, lcb, len(hidden_units)
        self.fmb_depth = len(fmb_units)
        shapes = {
            "embedding/table/embeddings": (sum(SIZES.values()), WIDTH),
            "embedding/numeric_vectors": (len(NUMBERS), WIDTH),
        }
        n = FIELDS
        for i in range(layers):
            layer, products = f"layer_{i}", n * projection
            shapes[f"{layer}/project"] = (n, projection)
            shapes[f"{layer}/compress"] = (n, lcb)
            if n != fmb + lcb:
                shapes[f"{layer}/residual"] = (n, fmb + lcb)
            shapes |= {f"{layer}/products_norm/{part}": (products,) for part in ("gamma", "beta")}
            shapes |= {f"{layer}/norm/{part}": (WIDTH,) for part in ("gamma", "beta")}
            widths = [products, *fmb_units, fmb * WIDTH]
            names = [f"{layer}/mlp/dense_{k}" for k in range(len(fmb_units))] + [f"{layer}/expand"]
            shapes |= chain(names, widths)
            n = fmb + lcb
        names = [f"mlp/dense_{k}" for k in range(len(hidden_units))] + ["output_unit"]
        shapes |= chain(names, [n * WIDTH, *hidden_units, 1])
        self.parameters = {name: np.zeros(shape) for name, shape in shapes.items()}

    @property
    def count(self):
        return sum(math.prod(value.shape) for value in self.parameters.values())

    def randomize(self, rng):
        for name, value in self.parameters.items():
            drawn = rng.normal(0, 0.5, value.shape).astype(np.float32)
            self.parameters[name] = drawn.astype(np.float64)

    def dense(self, name, x):
        return x @ self.parameters[f"{name}/kernel"] + self.parameters[f"{name}/bias"]

    def mlp(self, name, x, depth):
        for k in range(depth):
            x = np.maximum(self.dense(f"{name}/dense_{k}", x), 0)
        return x

    def norm(self, name, x):
        normed = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return normed * self.parameters[f"{name}/gamma"] + self.parameters[f"{name}/beta"]

    def layer(self, name, x):
        p = self.parameters
        interactions = x @ x.T @ p[f"{name}/project"]
        flat = self.norm(f"{name}/products_norm", interactions.reshape(-1))
        made = self.dense(f"{name}/expand", self.mlp(f"{name}/mlp", flat, self.fmb_depth))
        block = np.concatenate([made.reshape(self.fmb, WIDTH), p[f"{name}/compress"].T @ x])
        old = p[f"{name}/residual"].T @ x if f"{name}/residual" in p else x
        return self.norm(f"{name}/norm", block + old)

    def logits(self, features):
        p, found = self.parameters, []
        first = np.cumsum([0, *SIZES.values()])[:-1]
        for ids, numbers in zip(features["ids"], features["numeric"], strict=True):
            fields = p["embedding/table/embeddings"][ids + first]
            x = np.concatenate([fields, numbers[:, None] * p["embedding/numeric_vectors"]])
            for i in range(self.layers):
                x = self.layer(f"layer_{i}", x)
            deep = self.mlp("mlp", x.reshape(-1), self.depth)
            found.append(self.dense("output_unit", deep)[0])
        return np.array(found, np.float32)


def chain(names, widths):
    """Kernels and biases of dense layers, one after the other."""
    shapes = {}
    for name, width, units in zip(names, widths[:-1], widths[1:], strict=True):
        shapes |= {f"{name}/kernel": (width, units), f"{name}/bias": (units,)}
    return shapes


def case(layers, fmb, lcb, fmb_units):
    sizes = {"layers": layers, "projection": 3}
    settings = {
        "embedding_dim": WIDTH,
        "fmb_vectors": fmb,
        "lcb_vectors": lcb,
        "fmb_units": fmb_units,
        "hidden_units": [6, 5],
        **sizes,
    }
    return Case(
        "wukong",
        settings,
        lambda: Formula(layers, fmb, lcb, 3, fmb_units, [6, 5]),
        lambda parameters: parameters,
        "Zhang et al. 2024, formulas in NumPy",
    )


# As many vectors as before, so that the residual is the identity; then fewer.
CASES = {"wukong": case(2, 4, 2, [5]), "wukong_narrow": case(3, 2, 3, [5, 4])}
