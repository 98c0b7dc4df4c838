"""A step with torchrec's managed collisions on the ids of `benchmarks/id_stream.py`; prints JSON.

    python benchmarks/peers/torchrec_dynamic.py ROWS NEW ROUNDS STEPS

Runs in an environment with `torchrec` and `fbgemm-gpu-cpu`, without this project. Each field has an
`MCHManagedCollisionModule`, which maps ids to rows by a binary search in sorted ids, and a
`torch.nn.Embedding` with sparse gradients and `SparseAdam`, since the tables of torchrec with an
optimizer of their own need CUDA. New ids get a row when the module evicts, which sorts the ids of
the whole table. One step in `STEPS + 2` does so: `admit_ms` is what these steps take longer, and
`ms` are the other steps.
"""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from id_stream import BATCH, DIM, FIELDS, HIDDEN, batches, known_numbers, raw_ids
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.mc_modules import (
    LFU_EvictionPolicy,
    ManagedCollisionCollection,
    MCHManagedCollisionModule,
)
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

CPU = torch.device("cpu")
NAMES = [f"field_{i}" for i in range(FIELDS)]
LENGTHS = torch.ones(FIELDS * BATCH, dtype=torch.int32)


def features_of(numbers: np.ndarray) -> KeyedJaggedTensor:
    # Searched by signed order: any int64 is an id, but the largest, which marks a free row.
    ids = torch.tensor(raw_ids(numbers).T.reshape(-1).copy())
    return KeyedJaggedTensor(keys=NAMES, values=ids, lengths=LENGTHS)


def remapper(ids: np.ndarray, interval: int) -> MCHManagedCollisionModule:
    """Returns a module whose rows have these ids, but for one row, which is that of unknown ids."""
    module = MCHManagedCollisionModule(
        zch_size=len(ids),
        device=CPU,
        eviction_policy=LFU_EvictionPolicy(),
        eviction_interval=interval,
    )
    module._mch_sorted_raw_ids[:-1] = torch.tensor(np.sort(ids)[:-1])
    module._mch_metadata["counts"][:-1] = 1
    return module


def main(rows: int, new: float, rounds: int, steps: int) -> None:
    ids = raw_ids(np.concatenate([known[:, 0] for known in known_numbers(rows)]))
    configs = [
        EmbeddingConfig(name=name, embedding_dim=DIM, num_embeddings=len(ids), feature_names=[name])
        for name in NAMES
    ]
    interval = steps + 2
    remap = ManagedCollisionCollection({name: remapper(ids, interval) for name in NAMES}, configs)
    tables = [torch.nn.Embedding(len(ids), DIM, sparse=True) for _ in NAMES]
    layers: list[torch.nn.Module] = []
    width = FIELDS * DIM
    for units in HIDDEN:
        layers += [torch.nn.Linear(width, units), torch.nn.ReLU()]
        width = units
    tower = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))
    optimizers = [
        torch.optim.SparseAdam([table.weight for table in tables], lr=1e-3),
        torch.optim.Adam(tower.parameters()),
    ]
    loss_of = torch.nn.BCEWithLogitsLoss()
    rng = np.random.default_rng(1)
    labels = torch.tensor(rng.integers(0, 2, (BATCH, 1)), dtype=torch.float32)

    def step(features: KeyedJaggedTensor) -> bool:
        found = remap(features).values().view(FIELDS, BATCH)
        evicted = [each for each in remap.evict().values() if each is not None]
        vectors = [table(rows) for table, rows in zip(tables, found, strict=True)]
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss_of(tower(torch.cat(vectors, 1)), labels).backward()
        for optimizer in optimizers:
            optimizer.step()
        return bool(evicted)

    data = [features_of(each) for each in batches(rows, new, 8 + rounds * interval)]
    plain: list[float] = []
    admitting: list[float] = []
    for number, features in enumerate(data):
        start = time.perf_counter()
        admits = step(features)
        spent = 1e3 * (time.perf_counter() - start)
        if number >= 8:
            (admitting if admits else plain).append(spent)
    middle = float(np.median(plain))
    print(json.dumps({"ms": plain, "admit_ms": [each - middle for each in admitting]}))


if __name__ == "__main__":
    main(int(float(sys.argv[1])), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
