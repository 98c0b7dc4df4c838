"""Sharpness-aware minimization, a wrapper of any base optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from tf_helen import keras_access
from tf_helen.core import checks, replicas, tables
from tf_helen.core.clipping import squared_norm
from tf_helen.core.overlay import Overlay, OverlayLayer
from tf_helen.core.rows import RepeatedSlices, RowBlock, read_rows, write_rows
from tf_helen.optimizers.arguments import LearningRate
from tf_helen.optimizers.delegating import DelegatingOptimizer
from tf_helen.optimizers.foreign import driver_of
from tf_helen.optimizers.passes import Needs, gradients_of, summed_blocks
from tf_helen.optimizers.second_pass import LaterPass, values_before
from tf_helen.optimizers.wrapping import WrappingOptimizer

_TINY = 1e-12  # added to norms in the papers


def unit_scale(norm: tf.Tensor) -> tf.Tensor:
    """Returns `1 / (norm + 1e-12)`, and 0 if the norm is zero or not finite."""
    usable = tf.logical_and(tf.math.is_finite(norm), norm > 0)
    return tf.where(usable, 1 / (tf.where(usable, norm, tf.ones_like(norm)) + _TINY), 0)


def scaled(values: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Returns `values * scale`, and 0 where the scale is 0, also for infinite values."""
    return tf.math.multiply_no_nan(values, tf.cast(scale, values.dtype))


@keras.saving.register_keras_serializable(package="tf_helen")
class SAM(WrappingOptimizer):
    """Sharpness-aware minimization of embedding models, with any base optimizer.

    ```
    pass 1 at w:            g
    eps = rho * g / (||g||_2 + 1e-12)            # one norm over all weights and all rows
    pass 2 at w + eps:      g'
    the base optimizer applies g' to w
    ```

    Only the rows of the batch are perturbed, so the cost of a step, two passes, does not depend on
    the size of the table. The second pass reads `w + eps`, and no variable is changed for it, so
    other workers of a parameter server do not see the perturbation. Use `tf_helen.Model`,
    `tf_helen.enable(model)` or `optimizer.minimize(closure, variables)`; under a plain
    `keras.Model`, the optimizer raises an error.

    Args:
        learning_rate: float or schedule of the base optimizer. Defaults to `None`: the default of
            the base optimizer.
        rho: float, not negative, radius of the perturbation; 0 is the base optimizer. Defaults to
            0.05.
        base_optimizer: name ("adam", "sgd", ...) or optimizer, of tf_helen or Keras. Defaults to
            "adam".
        adaptive: boolean, whether to scale by the weights:
            `eps = rho * w^2 g / (|| |w| g || + 1e-12)`. Defaults to `False`.
        perturbation: "global" or "replica". With several replicas, "global" perturbs by the
            gradient of the global batch, with one more all-reduce, which equals one replica.
            "replica" perturbs each replica by its own gradient, without communication, as in the
            m-sharpness of the paper. Defaults to "global".
        name: string, name of the optimizer.
        **kwargs: passed to the base optimizer if it is given by name.

    Raises:
        ValueError: on a negative rho, an unknown base optimizer (suggests the nearest name), or
            arguments of the base optimizer in addition to an instance.

    Reference: Foret et al., ICLR 2021, Algorithm 1.

    Example:
        >>> w = keras.Variable([3.0, 4.0])
        >>> optimizer = tf_helen.SAM(0.1, rho=0.5, base_optimizer="sgd")
        >>> _ = optimizer.minimize(lambda: tf.reduce_sum(w.value**2) / 2, [w])
        >>> [round(float(x), 3) for x in w.numpy()]  # w - lr * (w + rho * w / |w|)
        [2.67, 3.56]
    """

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        rho: float = 0.05,
        base_optimizer: Any = "adam",
        adaptive: bool = False,
        perturbation: str = "global",
        name: str = "sam",
        **kwargs: Any,
    ):
        super().__init__(learning_rate, base_optimizer, name=name, **kwargs)
        _refuse_sharpness_inside(self, self.base_optimizer)
        self.rho = checks.number_in_range("rho", rho)
        self.adaptive = bool(adaptive)
        self.perturbation = checks.one_of("perturbation", perturbation, ("global", "replica"))
        # Indices of the variables whose stored values the second pass reads.
        self._reads_stored: set[int] = set()

    needs = Needs.TWO_GRADIENTS
    fixed_settings: tuple[str, ...] = ("rho", "adaptive", "perturbation")

    # Perturbation.

    def perturbations(
        self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]
    ) -> list[tf.Tensor | None]:
        """Returns the perturbation of each variable's rows.

        Args:
            blocks: sequence of `RowBlock`, the summed gradients of the first pass.
            variables: sequence of Keras variables, with the weights of the first pass.

        Returns:
            For each variable a tensor of the shape of `blocks[i].values`, or `None` if it is not
            perturbed.
        """
        if not self.adaptive:
            return self._perturbations_by_weight(blocks, [None] * len(blocks))
        weights = [
            tf.abs(self.rows_now(variable, block))
            for variable, block in zip(variables, blocks, strict=True)
        ]
        return self._perturbations_by_weight(blocks, weights)

    def _perturbations_by_weight(
        self, blocks: Sequence[RowBlock], weights: Sequence[tf.Tensor | None]
    ) -> list[tf.Tensor]:
        """Returns `rho T^2 g / ||T g||` with T per block (`None`: 1)."""
        weighted = [
            block if weight is None else block.with_values(block.values * weight)
            for block, weight in zip(blocks, weights, strict=True)
        ]
        scale = self.rho * unit_scale(total_norm(weighted))
        return [
            scaled(block.values, scale) * (1 if weight is None else weight)
            for block, weight in zip(weighted, weights, strict=True)
        ]

    # Passes.

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        variables = list(variables)
        self.build(variables)
        state = values_before(pass_state)
        loss, first = gradients_of(closure, variables, loss_scale)
        used = [(g, v) for g, v in zip(first, variables, strict=True) if g is not None]
        gradients, perturbed = [g for g, _ in used], [v for _, v in used]
        if self.perturbation == "global":
            gradients = replicas.all_reduce_sum(gradients)
        blocks = summed_blocks(gradients, perturbed, loss_scale)

        def second_pass():
            # The state of layers (batch-norm statistics, seeds) is updated by the first pass only.
            with LaterPass(variables, state):
                # The base optimizer may need more than one gradient at the perturbed weights.
                driver = driver_of(self.base_optimizer)
                return driver.compute_gradients(closure, variables, loss_scale)[1]

        second = self._at_perturbed(second_pass, blocks, perturbed)
        if replicas.count() == 1:
            second = _repeated(second, variables, blocks, perturbed)
        return loss, self._gradients_to_apply(first, second, variables)

    def _at_perturbed(
        self,
        run: Callable[[], list],
        blocks: Sequence[RowBlock],
        variables: Sequence[keras.Variable],
    ) -> list:
        """Returns the result of a function that reads the weights `w + eps`, and writes none."""
        epsilons = self.perturbations(blocks, variables)
        changes = []
        for block, variable, epsilon in zip(blocks, variables, epsilons, strict=True):
            if epsilon is None and block.is_sparse and tables.sweeper_of(variable) is not None:
                epsilon = tf.zeros_like(block.values)  # the second pass sees its pending decay
            if epsilon is not None:
                changes.append((block, variable, epsilon))
        while True:
            written = [change for change in changes if self._is_written(change[1])]
            layers = {
                id(variable): OverlayLayer(
                    replicas.local(variable), block, self._difference(block, variable, epsilon)
                )
                for block, variable, epsilon in changes
                if not self._is_written(variable)
            }
            with Overlay(list(layers.values())), self._written(written):
                result = run()
            unread = [v for _, v, _ in changes if id(v) in layers and not layers[id(v)].is_read]
            if not unread:
                return result
            # The pass has read the stored values in a way that an overlay does not see.
            _warn_of_writes(self, unread)
            self._reads_stored.update(keras_access.index_of(self, v) for v in unread)

    def _is_written(self, variable: keras.Variable) -> bool:
        # Eager operations read the variables of tf_keras without their Python methods.
        is_adapted = isinstance(variable, keras_access.ExistingVariable)
        is_unseen = is_adapted and tf.executing_eagerly()
        return is_unseen or keras_access.index_of(self, variable) in self._reads_stored

    def _difference(
        self, block: RowBlock, variable: keras.Variable, epsilon: tf.Tensor
    ) -> tf.Tensor:
        """Returns what is added to the rows that a lookup reads."""
        if not block.is_sparse or tables.sweeper_of(variable) is None:
            return epsilon  # lookups of `tf_helen.layers.Embedding` apply the pending decay
        stored = tf.cast(read_rows(replicas.local(variable), block.ids), epsilon.dtype)
        return self.rows_now(variable, block) + epsilon - stored

    @contextlib.contextmanager
    def _written(self, changes):
        # Rows are saved, because adding and subtracting the perturbation is not exact. The decay
        # that is applied here is also reverted, because the step may be skipped.
        saved = []
        for block, variable, epsilon in changes:
            saved += self.bring_up_to_date(block, variable)
            target = replicas.local(variable)
            rows = tf.identity(read_rows(target, block.ids))
            saved.append((target, block.ids, rows))
            write_rows(target, block.ids, tf.cast(rows, epsilon.dtype) + epsilon)
        try:
            yield
        finally:
            for target, ids, rows in reversed(saved):
                write_rows(target, ids, rows)

    def rows_now(self, variable: keras.Variable, block: RowBlock) -> tf.Tensor:
        """Returns the rows of a block as the forward pass reads them, in the dtype of the block."""
        if block.is_sparse and self.built:
            rows = self.rows_as_read(variable, block.ids)
        else:
            rows = read_rows(replicas.local(variable), block.ids)
        return tf.cast(rows, block.values.dtype)

    def _gradients_to_apply(
        self, first: list, second: list, variables: Sequence[keras.Variable]
    ) -> list:
        return second

    def get_config(self):
        return {
            **super().get_config(),
            "rho": self.rho,
            "adaptive": self.adaptive,
            "perturbation": self.perturbation,
        }


def _repeated(
    gradients: Sequence,
    variables: Sequence[keras.Variable],
    blocks: Sequence[RowBlock],
    perturbed: Sequence[keras.Variable],
) -> list:
    """Returns the gradients of the second pass with the lookups of the first one."""
    first = {id(variable): block for block, variable in zip(blocks, perturbed, strict=True)}

    def repeated(gradient, block):
        is_sparse = isinstance(gradient, tf.IndexedSlices) and block is not None and block.is_sparse
        return RepeatedSlices(gradient, block) if is_sparse else gradient

    pairs = zip(gradients, variables, strict=True)
    return [repeated(gradient, first.get(id(variable))) for gradient, variable in pairs]


def total_norm(blocks: Sequence[RowBlock]) -> tf.Tensor:
    """Returns the Euclidean norm over several blocks, float32, or float64 if a block is."""
    dtype = tf.float64 if any(b.values.dtype == tf.float64 for b in blocks) else tf.float32
    return tf.sqrt(tf.add_n([tf.cast(squared_norm(block), dtype) for block in blocks]))


def _refuse_sharpness_inside(outer: SAM, inner: keras.optimizers.Optimizer) -> None:
    if isinstance(inner, SAM):
        raise ValueError(
            f"`base_optimizer` of {type(outer).__name__} must not be sharpness-aware itself. "
            f"Received: {type(inner).__name__}. Pass the `base_optimizer` of that one."
        )
    if isinstance(inner, DelegatingOptimizer):
        for optimizer in inner._inner:
            _refuse_sharpness_inside(outer, optimizer)


def _warn_of_writes(optimizer: SAM, variables: Sequence[keras.Variable]) -> None:
    logging.warning(
        "%s writes its perturbation to %s during the second pass, and restores the values after "
        "it, because the loss reads them in a `tf.function` of its own or from a `tf.Variable`. "
        "Other workers of a parameter server see the perturbed values. Read the weights by "
        "`variable.value` or by a Keras layer.",
        type(optimizer).__name__,
        ", ".join(variable.path for variable in variables),
    )
