"""Power iteration on many small matrices, against NumPy."""

import numpy as np
import pytest

from tf_helen.analysis.eigenvalues import largest_eigenvalues

SPECTRA = {
    "positive": [3.0, 1.0, 0.5],
    "negative dominates": [-5.0, 2.0, 0.1],
    "opposite and equal": [-2.0, 2.0, 0.0],
    "opposite and nearly equal": [-2.0, 1.999, 0.5],
    "all negative": [-1.0, -2.0, -7.0],
    "all equal": [3.0, 3.0, 3.0],
    "all equal and negative": [-3.0, -3.0, -3.0],
    "nearly equal": [3.0, 2.999, 1.0],
    "zero": [0.0, 0.0, 0.0],
    "of rank one": [0.0, 0.0, 1e-12],
}


def matrices(spectra, seed=0):
    rng = np.random.default_rng(seed)
    bases = np.linalg.qr(rng.normal(size=(len(spectra), *[np.shape(spectra)[1]] * 2)))[0]
    return np.einsum("nij,nj,nkj->nik", bases, np.array(spectra), bases)


def iterate(many, **options):
    calls = []

    def product(vectors):
        calls.append(1)
        return np.einsum("nij,nj->ni", many, vectors)

    options = {"iterations": 500, "tolerance": 1e-8, **options}
    values, found = largest_eigenvalues(product, len(many), many.shape[1], **options)
    return values, found, len(calls)


@pytest.mark.parametrize("name", SPECTRA)
def test_the_largest_eigenvalue_is_found_and_not_the_largest_in_magnitude(name):
    values, found, products = iterate(matrices([SPECTRA[name]]))
    top, size = max(SPECTRA[name]), np.abs(SPECTRA[name]).max()
    np.testing.assert_allclose(values, [top], atol=1e-3 * size)
    assert found.all() and products < 500


def test_all_at_once_are_as_each_alone():
    together, found, _ = iterate(matrices(list(SPECTRA.values())))
    assert found.all()
    tops = [max(spectrum) for spectrum in SPECTRA.values()]
    sizes = np.abs(list(SPECTRA.values())).max(axis=1)
    assert (np.abs(together - tops) <= 1e-3 * sizes).all()


def test_random_matrices_are_as_numpy_says():
    rng = np.random.default_rng(1)
    many = rng.normal(size=(200, 6, 6)) * 10.0 ** rng.integers(-8, 3, (200, 1, 1))
    many = many + many.transpose(0, 2, 1)
    spectra = np.linalg.eigvalsh(many)
    values, _, _ = iterate(many, iterations=3000, tolerance=1e-11)
    errors = np.abs(values - spectra[:, -1]) / np.abs(spectra).max(axis=1)
    assert errors.max() < 1e-4


def test_matrices_of_width_one():
    values, found, products = iterate(np.array([[[2.0]], [[-2.0]], [[0.0]]]))
    assert values.tolist() == [2.0, -2.0, 0.0] and found.all() and products < 5


def test_too_few_iterations_are_told():
    many = matrices([[3.0, 2.99, 2.98], [0.0, 0.0, 0.0]])
    values, found, products = iterate(many, iterations=3)
    assert products == 3 and found.tolist() == [False, True]
    assert 2.98 <= values[0] <= 3.0
