"""Latencies of TorchScript serving the DeepFM of benchmarks/serving.py.

    python benchmarks/peers/torch_serving.py weights.npz batches.npz THREADS SECONDS

Runs in an environment with `torch`, which needs neither TensorFlow nor this project. It prints a
JSON object: the latencies by batch size, and the logits of the first 32 rows.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from latency import BATCHES, latencies


class DeepFM(torch.nn.Module):
    """The model with given weights: ids with row offsets, standardized numbers times vectors."""

    def __init__(self, weights: dict[str, np.ndarray]):
        super().__init__()
        for name, value in weights.items():
            self.register_buffer(name, torch.tensor(value))
        self.layers = sum(name.startswith("kernel_") for name in weights)
        self.kernels = [f"kernel_{i}" for i in range(self.layers)]

    def forward(self, ids: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        rows = ids + self.offsets
        numbers = (numbers - self.mean) / self.std
        vectors = torch.cat([self.table[rows], numbers[:, :, None] * self.vectors], 1)
        linear = self.linear_table[rows][:, :, 0].sum(1) + (numbers * self.linear_vectors).sum(1)
        squares = vectors.sum(1).square() - vectors.square().sum(1)
        hidden = vectors.flatten(1)
        for i in range(self.layers):
            hidden = hidden @ getattr(self, f"kernel_{i}") + getattr(self, f"bias_{i}")
            if i < self.layers - 1:
                hidden = torch.relu(hidden)
        return linear + self.linear_bias + 0.5 * squares.sum(1) + hidden[:, 0]


def main() -> None:
    weights, batches, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.set_num_interop_threads(1)
    with np.load(weights) as file:
        model = DeepFM(dict(file)).eval()
    with np.load(batches) as file:
        ids, numbers = torch.tensor(file["ids"]), torch.tensor(file["numeric"])
    found = {}
    with torch.inference_mode():
        scripted = torch.jit.freeze(torch.jit.trace(model, (ids[:32], numbers[:32])))
        for rows in BATCHES:
            batch = ids[:rows], numbers[:rows]
            found[str(rows)] = latencies(lambda batch=batch: scripted(*batch), rows, float(seconds))
        logits = scripted(ids[:32], numbers[:32]).tolist()
    print(json.dumps({"latencies": found, "logits": logits}))


if __name__ == "__main__":
    main()
