"""Sharpness-aware minimization: SAM and ASAM around any base optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import checks, replicas
from tf_helen.optimizers import registry
from tf_helen.optimizers.clipping import squared_norm
from tf_helen.optimizers.interval_decay import IntervalDecay
from tf_helen.optimizers.passes import gradients_of
from tf_helen.optimizers.row_sparse import RowSparseOptimizer, compute_dtype
from tf_helen.rows import RowBlock, as_block, read_rows, write_rows

_TINY = 1e-12  # the papers' guard against a zero norm


def unit_scale(norm: tf.Tensor) -> tf.Tensor:
    """`1 / (norm + 1e-12)`; 0 where the norm is zero or not finite: then nothing is perturbed."""
    usable = tf.logical_and(tf.math.is_finite(norm), norm > 0)
    return tf.where(usable, 1 / (tf.where(usable, norm, tf.ones_like(norm)) + _TINY), 0)


@keras.saving.register_keras_serializable(package="tf_helen")
class SAM(RowSparseOptimizer):
    """Sharpness-aware minimization of embedding models, around any base optimizer.

    ```
    pass 1 at w:            g
    eps = rho * g / (||g||_2 + 1e-12)            # one norm over all weights and all rows
    pass 2 at w + eps:      g'
    w restored bit for bit; the base optimizer applies g'
    ```

    Only the rows of the batch are perturbed, so a step costs two passes and no table.
    It needs a trainer that runs two passes: `tf_helen.Model`, `tf_helen.enable(model)` or
    `optimizer.minimize(closure, variables)`; under a plain `keras.Model` it raises.

    Args:
        learning_rate: the base optimizer's; `None`: its own default.
        rho: radius of the perturbation, not negative. 0 gives the base optimizer's step.
        base_optimizer: a name ("adam", "sgd", ...) or an optimizer, ours or Keras's.
        adaptive: scale by the weight: `eps = rho * w^2 g / (|| |w| g || + 1e-12)`.
        perturbation: under several replicas, "global": all perturb by the gradient of the global
            batch (one more all-reduce; equal to one replica); "replica": each by its own, as in
            the SAM paper's m-sharpness, without communication.
        name: the optimizer's name.
        **kwargs: passed to the base optimizer when it is given by name.

    Raises:
        ValueError: on a negative rho, an unknown base optimizer (the nearest name is suggested),
            or arguments that belong to the base optimizer when an instance is given.

    Reference: Foret et al., ICLR 2021, Algorithm 1.

    Example:
        >>> w = keras.Variable([3.0, 4.0])
        >>> optimizer = tf_helen.SAM(0.1, rho=0.5, base_optimizer="sgd")
        >>> _ = optimizer.minimize(lambda: tf.reduce_sum(w.value**2) / 2, [w])
        >>> w.numpy().round(3).tolist()  # w - lr * (w + rho * w / |w|)
        [2.67, 3.56]
    """

    def __init__(
        self,
        learning_rate: Any = None,
        rho: float = 0.05,
        base_optimizer: Any = "adam",
        *,
        adaptive: bool = False,
        perturbation: str = "global",
        name: str = "sam",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=0.0, name=name)
        self.rho = checks.number_in_range("rho", rho)
        self.adaptive = bool(adaptive)
        self.perturbation = checks.one_of("perturbation", perturbation, ("global", "replica"))
        base = registry.get(base_optimizer, learning_rate, **kwargs)
        self.base_optimizer = base
        self._seam_depth = 0

    # The perturbation.

    def perturbations(
        self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]
    ) -> list[tf.Tensor | None]:
        """The perturbation of each variable's rows.

        Args:
            blocks: the first pass's gradients, summed.
            variables: the variables, at the weights of the first pass.

        Returns:
            For each variable a tensor like `blocks[i].values`, or `None`: not perturbed.
        """
        if not self.adaptive:
            return self._perturbations_by_weight(blocks, [None] * len(blocks))
        weights = [tf.abs(_rows_of(variable, block)) for variable, block in zip(variables, blocks)]
        return self._perturbations_by_weight(blocks, weights)

    def _perturbations_by_weight(self, blocks, weights) -> list[tf.Tensor]:
        """`rho T^2 g / ||T g||`, T given per block (`None`: 1)."""
        scaled = [
            block if weight is None else block.with_values(block.values * weight)
            for block, weight in zip(blocks, weights)
        ]
        scale = self.rho * unit_scale(total_norm(scaled))
        return [
            block.values * tf.cast(scale, block.values.dtype) * (1 if weight is None else weight)
            for block, weight in zip(scaled, weights)
        ]

    # The two passes.

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        variables = list(variables)
        self.build(variables)
        state_before = [(v, tf.identity(replicas.local(v).read_value())) for v in pass_state]
        loss, first = gradients_of(closure, variables, loss_scale)
        used = [(i, g) for i, g in enumerate(first) if g is not None]
        blocks = self._first_blocks([g for _, g in used], [variables[i] for i, _ in used])
        if loss_scale is not None:
            blocks = [b.with_values(b.values / tf.cast(loss_scale, b.values.dtype)) for b in blocks]
        with self._perturbed(blocks, [variables[i] for i, _ in used]):
            # Whatever layers update (batch-norm statistics, seeds) counts the first pass only.
            with keras.StatelessScope(state_before, collect_losses=True):
                _, second = gradients_of(closure, variables, loss_scale)
        return loss, self._gradients_to_apply(first, second, variables)

    def _first_blocks(self, gradients, variables) -> list[RowBlock]:
        if self.perturbation == "global":
            gradients = replicas.all_reduce_sum(gradients)
        blocks = [as_block(gradient) for gradient in gradients]
        return [
            block.with_values(tf.cast(block.values, compute_dtype(variable)))
            for block, variable in zip(blocks, variables)
        ]

    @contextlib.contextmanager
    def _perturbed(self, blocks, variables):
        for block, variable in zip(blocks, variables):
            if isinstance(self.base_optimizer, IntervalDecay):
                self.base_optimizer.bring_up_to_date(block, variable)
        # Adding and then subtracting the perturbation would not give the weights back exactly.
        saved = []
        for block, variable, epsilon in zip(
            blocks, variables, self.perturbations(blocks, variables)
        ):
            if epsilon is None:
                continue
            target = replicas.local(variable)
            rows = tf.identity(read_rows(target, block.ids))
            saved.append((target, block.ids, rows))
            write_rows(target, block.ids, tf.cast(rows, epsilon.dtype) + epsilon)
        try:
            yield
        finally:
            for target, ids, rows in saved:
                write_rows(target, ids, rows)

    def _gradients_to_apply(self, first, second, variables) -> list:
        return second

    @contextlib.contextmanager
    def seam(self):
        """Held by a trainer that has run both passes while it applies the gradients."""
        self._seam_depth += 1
        try:
            yield
        finally:
            self._seam_depth -= 1

    def minimize(self, closure: Callable[[], tf.Tensor], variables):
        with self.seam():
            return super().minimize(closure, variables)

    def apply(self, grads, trainable_variables=None) -> None:
        if not self._seam_depth:
            raise RuntimeError(
                f"{type(self).__name__} needs two gradients per step, and this trainer computes "
                "one. Build the model as a `tf_helen.Model`, or call `tf_helen.enable(model)` "
                "before `compile`, or use `optimizer.minimize(closure, variables)` in a custom "
                "loop."
            )
        if trainable_variables is not None:
            self.build(list(trainable_variables))
        self.before_base(grads, trainable_variables)
        self.base_optimizer.apply(grads, trainable_variables)

    def before_base(self, grads, variables) -> None:
        """Hook: what else a step changes, skipped together with it."""

    # Everything else is the base optimizer's.

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if not self.base_optimizer.built:
            self.base_optimizer.build(list(variables))

    @property
    def variables(self):
        return self._variables + self.base_optimizer.variables

    @property
    def iterations(self):
        return self.base_optimizer.iterations

    @property
    def learning_rate(self):
        return self.base_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.base_optimizer.learning_rate = learning_rate

    def scale_loss(self, loss):
        return self.base_optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.base_optimizer.finalize_variable_values(var_list)

    def get_config(self):
        return {
            "name": self.name,
            "rho": self.rho,
            "base_optimizer": keras.saving.serialize_keras_object(self.base_optimizer),
            "adaptive": self.adaptive,
            "perturbation": self.perturbation,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config.get("base_optimizer"), dict):
            config["base_optimizer"] = keras.saving.deserialize_keras_object(
                config["base_optimizer"], custom_objects=custom_objects
            )
        return cls(**config)


@keras.saving.register_keras_serializable(package="tf_helen")
class ASAM(SAM):
    """Adaptive sharpness-aware minimization: the radius follows each weight's own scale.

    `eps = rho * T^2 g / (||T g||_2 + 1e-12)` with `T = |w| + eta` for tables and kernels, and
    T = 1 for biases (`adapt_bias=False`, as in the released code).

    Args:
        learning_rate: the base optimizer's; `None`: its own default.
        rho: radius, not negative; the paper uses 0.5 where SAM uses 0.05.
        base_optimizer: a name or an optimizer.
        eta: keeps weights near zero perturbed, not negative.
        adapt_bias: use T = |w| + eta for biases (variables of rank 0 and 1) too.
        **kwargs: see `tf_helen.SAM`.

    Raises:
        ValueError: on a negative `rho` or `eta`; as `tf_helen.SAM`.

    Reference: Kwon et al., ICML 2021, Algorithm 1.

    Example:
        >>> w = keras.Variable([[3.0, 4.0]])
        >>> optimizer = tf_helen.ASAM(0.1, rho=0.5, base_optimizer="sgd")
        >>> float(optimizer.minimize(lambda: tf.reduce_sum(w.value**2) / 2, [w]))
        12.5
    """

    def __init__(
        self,
        learning_rate=None,
        rho=0.5,
        base_optimizer="adam",
        *,
        eta=0.01,
        adapt_bias=False,
        name="asam",
        **kwargs,
    ):
        super().__init__(learning_rate, rho, base_optimizer, name=name, **kwargs)
        self.eta = checks.number_in_range("eta", eta)
        self.adapt_bias = bool(adapt_bias)

    def perturbations(self, blocks, variables):
        weights = []
        for block, variable in zip(blocks, variables):
            if len(variable.shape) > 1 or self.adapt_bias:
                weights.append(tf.abs(_rows_of(variable, block)) + self.eta)
            else:
                weights.append(None)
        return self._perturbations_by_weight(blocks, weights)

    def get_config(self):
        config = super().get_config()
        config.pop("adaptive")
        return {**config, "eta": self.eta, "adapt_bias": self.adapt_bias}


def total_norm(blocks: Sequence[RowBlock]) -> tf.Tensor:
    """The Euclidean norm over several blocks together, a float32 scalar (float64 if one is)."""
    dtype = tf.float64 if any(b.values.dtype == tf.float64 for b in blocks) else tf.float32
    return tf.sqrt(tf.add_n([tf.cast(squared_norm(block), dtype) for block in blocks]))


def _rows_of(variable: keras.Variable, block: RowBlock) -> tf.Tensor:
    rows = read_rows(replicas.local(variable), block.ids)
    return tf.cast(rows, block.values.dtype)
