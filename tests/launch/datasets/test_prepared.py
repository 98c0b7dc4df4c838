"""Prepared data sets: vocabularies as BARS's rules make them, counted independently."""

import math
from collections import Counter

import numpy as np
import pytest

from launch import datasets
from launch.datasets.criteo_x4 import CATEGORIES, COUNTS
from launch.datasets.raw import Options
from launch.datasets.stratified import stratified_folds
from launch.prepare import prepare
from zoo import Schema, load_counts
from zoo.data.vocabulary import load_vocabulary

ROWS = 3000


@pytest.fixture(scope="module")
def criteo(tmp_path_factory):
    """A log of Criteo's shape with missing values, zeros, negative and large counts."""
    random = np.random.default_rng(0)
    columns = [(random.random(ROWS) < 0.3).astype(int).astype(str).tolist()]
    for _ in COUNTS:
        values = np.minimum(random.zipf(1.4, ROWS), 10**7) - 3
        columns.append([random.choice(["", str(v)], p=[0.2, 0.8]) for v in values])
    for _ in CATEGORIES:
        values = random.zipf(1.3, ROWS)
        columns.append([random.choice(["", f"{v % 2**32:08x}"], p=[0.1, 0.9]) for v in values])
    path = tmp_path_factory.mktemp("criteo") / "train.txt"
    path.write_text("\n".join(map("\t".join, zip(*columns, strict=True))) + "\n")
    return path, columns


def bucket(text: str) -> int:
    """FuxiCTR's rule: missing counts are filled with 0 first."""
    value = float(text or 0)
    return math.floor(math.log(value) ** 2) if value > 2 else int(value)


@pytest.mark.parametrize(("name", "least"), [("criteo_x4_001", 10), ("criteo_x4_002", 2)])
def test_criteos_vocabularies_are_those_of_bars(tmp_path, criteo, name, least):
    path, columns = criteo
    prepare(datasets.get(name)(Options(source=str(path))), tmp_path / "out")
    folds = stratified_folds(np.array(columns[0], np.int8), 10, seed=2018)
    counts = load_counts(tmp_path / "out", Schema.load(tmp_path / "out"))
    for place, field in enumerate((*COUNTS, *CATEGORIES), start=1):
        column = [columns[place][row] for row in np.flatnonzero(folds >= 2)]
        own = Counter(str(bucket(value)) if field in COUNTS else value for value in column)
        # The bucket of 0 and the empty text stand for missing and have no id of their own.
        own = {v: n for v, n in own.items() if n >= least and v != ("0" if field in COUNTS else "")}
        values, _ = load_vocabulary(tmp_path / "out", field)
        assert dict(zip(values[1:], counts[field][1:].tolist(), strict=True)) == own
        assert counts[field][0] == len(column) - sum(own.values())
