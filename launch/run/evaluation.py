"""AUC and LogLoss of a model over a split, on one or several devices."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import tf_helen
from launch.run.frequency_scores import FrequencyScores
from zoo.data.progress import ProgressBar


class DivergedError(ValueError):
    """A training loss or a prediction is not finite."""


class Evaluator:
    """Evaluates a model on data sets; the step is traced once and used after every epoch.

    The model is not compiled with these metrics: Keras computes their results at every training
    step, and the result of a fine-binned AUC takes as long as the step.

    Args:
        model: Keras model that returns logits.
        strategy: `tf.distribute.Strategy` to run in. Defaults to `None`: the current strategy.
        progress: boolean, whether to show progress. Defaults to `False`.

    Example:
        >>> Evaluator(model)(zoo.read_tfrecords("data", "valid"))  # doctest: +SKIP
        {'auc': 0.78, 'logloss': 0.55}
    """

    def __init__(
        self,
        model: keras.Model,
        strategy: tf.distribute.Strategy | None = None,
        progress: bool = False,
    ):
        self._model = model
        self._strategy = strategy or tf.distribute.get_strategy()
        self._progress = progress
        with self._strategy.scope():
            self._metrics = {
                "auc": tf_helen.metrics.AUC(from_logits=True),
                "logloss": tf_helen.metrics.LogLoss(from_logits=True),
            }
        self._step: Callable | None = None

    def __call__(
        self,
        data: tf.data.Dataset,
        frequency: FrequencyScores | None = None,
        what: str = "evaluating",
        rows: int | None = None,
    ) -> dict[str, float]:
        """Evaluates the model on a data set.

        Args:
            data: `tf.data.Dataset`, batches of `(features, label [B, 1])` or
                `(features, label, weight [B, 1])`.
            frequency: `FrequencyScores` that receives the scored rows, in place of those that it
                has. Defaults to `None`.
            what: string before the progress. Defaults to "evaluating".
            rows: int, number of rows, for the progress. Defaults to `None`: unknown.

        Returns:
            Dict, `{"auc": area under the ROC curve, "logloss": mean cross-entropy in nats}`,
            weighted if the batches have weights.

        Raises:
            DivergedError: if a prediction is not finite.
        """
        for metric in self._metrics.values():
            metric.reset_state()
        if frequency is not None:
            frequency.reset()
        # Applies the pending decay to the tables once, so that lookups do not.
        bar = ProgressBar(what, rows, show=self._progress, delay=1.0)
        with self._model.settled(), bar:
            batches = self._strategy.experimental_distribute_dataset(data)
            if self._step is None:
                self._step = self._traced(batches)
            for batch in batches:
                logits = self._step(batch)
                if frequency is not None:
                    self._add(frequency, batch, logits)
                labels = self._strategy.experimental_local_results(batch[1])
                bar.update(sum(int(each.shape[0]) for each in labels))
        result = {name: float(metric.result()) for name, metric in self._metrics.items()}
        if any(value != value for value in result.values()):
            raise DivergedError(
                "the model's predictions are not finite: training has diverged; "
                "use a smaller learning rate or clip gradients (global_clipnorm=1.0)"
            )
        return result

    def _traced(self, batches: tf.data.Dataset) -> Callable:
        if self._strategy.num_replicas_in_sync > 1:
            return tf.function(self._score_everywhere, reduce_retracing=True)
        # One trace, though the last batch is smaller.
        return tf.function(self._score_everywhere, input_signature=[batches.element_spec])

    def _add(self, frequency: FrequencyScores, batch, logits) -> None:
        """Adds the rows of each replica."""
        local = self._strategy.experimental_local_results
        features, *others = batch
        parts = [local(part) for part in (features["ids"], others[0], logits, *others[1:])]
        for ids, *rest in zip(*parts, strict=True):
            frequency.add({"ids": ids}, *rest)

    def _score_everywhere(self, batch) -> tf.Tensor:
        return self._strategy.run(self._score, args=batch)

    def _score(self, features, label, weight=None) -> tf.Tensor:
        logits = self._model(features, training=False)
        for metric in self._metrics.values():
            metric.update_state(label, logits, weight)
        return logits


class Predictor:
    """Predicts rows in memory with one model, on one device or many; traced once.

    Args:
        model: a model that returns logits.
        strategy: where to run; `None`: the default strategy.

    Example:
        >>> Predictor(model)({"ids": np.array([[3, 5]])}).shape  # doctest: +SKIP
        (1,)
    """

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy | None = None):
        self._model = model
        self._strategy = strategy or tf.distribute.get_strategy()
        self._step = tf.function(self._predict_everywhere, reduce_retracing=True)

    def __call__(self, features: dict[str, np.ndarray], batch_size: int = 4096) -> np.ndarray:
        """Predicts rows.

        Args:
            features: dict of arrays `[n, k]`.
            batch_size: int, rows at a time. Defaults to 4096.

        Returns:
            float32 array `[n]`, the logits.
        """
        found, rows = [], len(next(iter(features.values())))
        with self._model.settled():
            for start in range(0, rows, batch_size):
                stop = min(start + batch_size, rows)
                # No `tf.data`: to make a dataset takes as long as to predict some batches.
                batch = self._strategy.experimental_distribute_values_from_function(
                    lambda context, start=start, stop=stop: _share(features, start, stop, context)
                )
                parts = self._strategy.experimental_local_results(self._step(batch))
                found += [part.numpy()[:, 0] for part in parts]
        return np.concatenate(found)

    def _predict_everywhere(self, batch) -> tf.Tensor:
        return self._strategy.run(lambda x: self._model(x, training=False), args=(batch,))


def _share(features, start: int, stop: int, context) -> dict[str, tf.Tensor]:
    """The part of a batch that a replica predicts."""
    replica, count = context.replica_id_in_sync_group, context.num_replicas_in_sync
    first, last = (start + (stop - start) * i // count for i in (replica, replica + 1))
    return {key: tf.constant(values[first:last]) for key, values in features.items()}
