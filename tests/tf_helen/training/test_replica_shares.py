"""Two replicas that share a batch unevenly train as one replica does on the whole batch."""

import pytest
from kinds import some
from once import results_of_program
from uneven_replicas import NAMES

FAST = ("AdamAR", "Helen", "weighted mean")


@pytest.mark.parametrize("name", some(NAMES, FAST))
def test_weights_and_loss_are_those_of_one_replica(name, tmp_path_factory):
    together = FAST if name in FAST else [each for each in NAMES if each not in FAST]
    results = results_of_program(tmp_path_factory, "uneven_replicas.py", *together)
    assert results[f"{name}/weights"] < 1e-6
    assert results[f"{name}/loss"] < 1e-6
    assert results[f"{name}/copies"] == 0
