"""Rows per second of the loaders of FuxiCTR and of torch; prints a line of JSON.

    python benchmarks/peers/loaders.py FOLDER BATCH_SIZE

FOLDER holds `train.npz` and `columns.json`, as `benchmarks/input_pipeline.py` writes them. Runs in
an environment with `torch` and, if possible, `fuxictr`, which needs no TensorFlow. All of them read
the rows into memory before the time is taken: FuxiCTR's files do not fit the other way of reading.
"""

import collections
import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset


def rows_per_second(loader, batch_size: int) -> float:
    """Rows per second of one pass."""
    start = time.perf_counter()
    batches = sum(1 for _ in loader)
    return batches * batch_size / (time.perf_counter() - start)


def fuxictr_loader(folder: pathlib.Path, known: dict, batch_size: int):
    """FuxiCTR's own loader of arrays; it needs of the feature map only the names of the columns."""
    from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader

    columns = collections.OrderedDict((name, {}) for name in [*known["sizes"], *known["numeric"]])

    class FeatureMap:
        features, labels = columns, [known["label"]]

        def get_column_index(self, name: str) -> int:
            return [*self.features, *self.labels].index(name)

    return NpzDataLoader(
        FeatureMap(), str(folder / "train.npz"), split="train", batch_size=batch_size, shuffle=True
    )


def main() -> None:
    folder, batch_size = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    known = json.loads((folder / "columns.json").read_text())
    rates = {}
    arrays = np.load(folder / "train.npz")
    ids = np.column_stack([arrays[name] for name in known["sizes"]]).astype(np.int64)
    parts = [torch.from_numpy(ids), torch.from_numpy(arrays[known["label"]])]
    if known["numeric"]:
        numbers = np.column_stack([arrays[name] for name in known["numeric"]])
        parts.append(torch.from_numpy(numbers))
    data = DataLoader(TensorDataset(*parts), batch_size=batch_size, shuffle=True)
    rates["torch DataLoader, rows in memory"] = rows_per_second(data, batch_size)
    try:
        loader = fuxictr_loader(folder, known, batch_size)
    except (ImportError, TypeError, AttributeError) as error:
        print(f"no loader of FuxiCTR: {error!r}", file=sys.stderr)
    else:
        rates["FuxiCTR NpzDataLoader, rows in memory"] = rows_per_second(loader, batch_size)
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
