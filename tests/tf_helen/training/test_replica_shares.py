"""Two replicas that share a batch unevenly train as one replica does on the whole batch."""

import pytest
from once import results_of_program
from uneven_replicas import CASES


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return results_of_program(tmp_path_factory, "uneven_replicas.py")


@pytest.mark.parametrize("case", [*CASES, "added losses traced"])
def test_weights_and_loss_are_those_of_one_replica(results, case):
    assert results[f"{case}/weights"] < 1e-6
    assert results[f"{case}/loss"] < 1e-6
    assert results[f"{case}/copies"] == 0
