"""The largest eigenvalues of many small symmetric matrices, from products with vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def largest_eigenvalues(
    product: Callable[[np.ndarray], np.ndarray],
    matrices: int,
    width: int,
    *,
    iterations: int,
    tolerance: float,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the largest eigenvalue of each matrix by power iteration.

    Power iteration, `v <- A v / ||A v||`, finds the eigenvalue that is largest in magnitude. If it
    is negative, or if two eigenvalues of opposite sign are nearly equal in magnitude, the matrix
    `A + s I` is used instead, where `s` is the largest `||A v||` so far. The result is the Rayleigh
    quotient `v A v`.

    Args:
        product: callable that multiplies each matrix by its vector, `[n, d]` to `[n, d]`.
        matrices: int, number of matrices n.
        width: int, width of the matrices d.
        iterations: int, maximum number of products.
        tolerance: float; a value is found if it changes by at most `tolerance * ||A||`, and
            `||A v - value v|| <= sqrt(tolerance) ||A||`.
        seed: int, seed of the initial vectors. Defaults to 0.

    Returns:
        float64 `[n]`, the eigenvalues; bool `[n]`, whether each one is found.

    Example:
        >>> A = np.array([[[-3.0, 0.0], [0.0, 1.0]], [[2.0, 1.0], [1.0, 2.0]]])
        >>> values, found = largest_eigenvalues(
        ...     lambda v: np.einsum("nij,nj->ni", A, v), 2, 2, iterations=100, tolerance=1e-9
        ... )
        >>> values.round(3).tolist(), found.tolist()
        ([1.0, 3.0], [True, True])
    """
    rng = np.random.default_rng(seed)
    vectors = _unit(rng.normal(size=(matrices, width)))
    values, norms, shifts = (np.zeros(matrices) for _ in range(3))
    before = np.full(matrices, np.inf)
    found = np.zeros(matrices, bool)
    for number in range(iterations):
        images = product(vectors)
        quotients = np.sum(vectors * images, axis=1)
        values = np.where(found, values, quotients)
        norms = np.maximum(norms, np.linalg.norm(images, axis=1))
        rest = np.linalg.norm(images - quotients[:, None] * vectors, axis=1)
        settled = (rest <= np.sqrt(tolerance) * norms) & (
            np.abs(quotients - before) <= tolerance * norms
        )
        is_lowest = settled & (quotients < 0) & (shifts == 0)
        found |= settled & ~is_lowest
        if found.all():
            break
        # Not found after half of the products: probably two eigenvalues of opposite sign.
        is_undecided = (number == iterations // 2) & ~found
        shifts = np.where((shifts > 0) | is_lowest | is_undecided, norms, 0.0)
        before = np.where(is_lowest, np.inf, quotients)
        following = images + shifts[:, None] * vectors
        # The image is zero if the vector belongs to the eigenvalue -s; keep the vector then.
        is_zero = ~following.any(axis=1)
        following[is_zero] = vectors[is_zero]
        # The vector of the lowest eigenvalue is nearly orthogonal to that of the largest: draw
        # another.
        following[is_lowest] = rng.normal(size=(int(is_lowest.sum()), width))
        vectors = _unit(following)
    return values, found


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
