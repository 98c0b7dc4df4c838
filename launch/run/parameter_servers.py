"""The chief of a cluster with parameter servers: hands batches to the workers.

The chief reads the records in the order of a run on one machine, and hands each batch to the next
worker that is free. A batch is trained exactly once, whichever worker trains it; if a worker is
lost, another one gets its batch. So an epoch has the same batches for any number of workers, and a
run can be resumed with another number of them.
"""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from launch.run.checkpoints import Checkpoints
from launch.run.cluster import Cluster, check_port, wait_for_tasks
from launch.run.server_watch import LossesReported, Watch
from launch.run.serving_tasks import prepare_process
from tf_helen.training import EpochNotifier

_POLL = 1.0  # seconds
_WAITING_PER_WORKER = 2  # batches that are handed out: one is trained, one waits


class Chief:
    """Connects to the workers and parameter servers of a cluster, and trains models with them.

    Args:
        cluster: `Cluster`; the task of this process is the chief.
        seconds: float, how long to wait for a worker or parameter server that has not started, and
            for a worker if all are lost.

    Attributes:
        strategy: `tf.distribute.ParameterServerStrategy`. Build the model and its optimizer in its
            scope; each variable is then on one server, in turn.
        watch: `Watch`, notices lost tasks.

    Raises:
        ValueError: if the port is in use, or a task does not start.
        TaskLostError: at the end of the block, if a parameter server was lost in it.

    Example:
        >>> with Chief(read_cluster("parameter_server"), 60) as chief:  # doctest: +SKIP
        ...     with chief.strategy.scope():
        ...         model = compiled_model()
        ...     chief.fit(model, rows, 0, [])
    """

    def __init__(self, cluster: Cluster, seconds: float):
        prepare_process()
        check_port(cluster)
        tf.config.set_visible_devices([], "GPU")
        wait_for_tasks(cluster.tasks("worker", "ps"), seconds)
        self.strategy = tf.distribute.experimental.ParameterServerStrategy(cluster.resolver())
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(self.strategy)
        self._workers = cluster.count("worker")
        self.watch = Watch(cluster, seconds)
        self._filter = LossesReported()
        self._results = _Results()
        self._steps: tuple[keras.Model, Callable] | None = None

    def __enter__(self) -> Chief:
        self.watch.start()
        tf.get_logger().addFilter(self._filter)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self.watch.stop()
        tf.get_logger().removeFilter(self._filter)
        if isinstance(error, tf.errors.OpError):
            self.watch.check_error(error)

    def fit(
        self,
        model: keras.Model,
        rows: tf.data.Dataset,
        epoch: int,
        callbacks: Sequence[keras.callbacks.Callback],
        checkpoints: Checkpoints | None = None,
    ) -> dict[str, float]:
        """Trains a model for one epoch, or the rest of one.

        Args:
            model: compiled `tf_helen.Model`, built in the scope of `strategy`.
            rows: `tf.data.Dataset`, the batches.
            epoch: int, number of epochs before this one.
            callbacks: sequence of Keras callbacks. At the end of a step they see variables that
                other workers may have changed since.
            checkpoints: `Checkpoints` of the model, which are saved when no step is in progress.
                Defaults to `None`.

        Returns:
            Dict, the loss of the epoch and what the callbacks measured.

        Raises:
            TaskLostError: if a parameter server is lost, or all workers are.
        """
        others = keras.callbacks.CallbackList(
            [*callbacks, EpochNotifier()], add_history=False, add_progbar=False, model=model
        )
        saver = checkpoints or keras.callbacks.Callback()
        saver.on_train_begin()
        others.on_train_begin()
        model.reset_metrics()
        saver.on_epoch_begin(epoch)
        others.on_epoch_begin(epoch)
        step = self._step(model, rows.element_spec)
        waiting: collections.deque = collections.deque()
        done, logs = 0, {}

        def finish_one() -> None:
            nonlocal done, logs
            logs = self._result(waiting.popleft())
            others.on_train_batch_end(done, logs)
            done += 1

        for number, batch in enumerate(rows):
            if number == 0:
                saver.on_train_batch_begin(0)
            others.on_train_batch_begin(number)
            waiting.append(self._coordinator.schedule(step, args=(batch,)))
            is_due = checkpoints is not None and checkpoints.is_due
            while waiting and (is_due or len(waiting) >= self._workers * _WAITING_PER_WORKER):
                finish_one()
            if is_due:
                saver.on_train_batch_end(done - 1, logs)
        while waiting:
            finish_one()
        if done:
            saver.on_train_batch_end(done - 1, logs)
        logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        others.on_epoch_end(epoch, logs)
        saver.on_epoch_end(epoch, logs)
        others.on_train_end(logs)
        saver.on_train_end(logs)
        return logs

    def _step(self, model: keras.Model, spec: Any) -> Callable:
        """Returns the training step of a model, traced once."""
        if self._steps is None or self._steps[0] is not model:
            counters = [v for v in model.optimizer.variables if v.name == "iteration"]
            _add_on_server([*model.metrics_variables, *counters])
            step = tf.function(
                tf.autograph.experimental.do_not_convert(model.train_step), input_signature=[spec]
            )
            self._steps = (model, step)
        return self._steps[1]

    def _result(self, value: Any) -> dict[str, float]:
        self._results.ask(value)
        while True:
            found = self._results.wait(_POLL)
            if found is not None:
                break
            self.watch.check()
        if isinstance(found, Exception):
            raise found
        return {name: float(number) for name, number in found.items()}


def _add_on_server(variables: Sequence[keras.Variable]) -> None:
    """Makes `assign_add` of Keras variables one operation of their server.

    Keras reads the value and assigns the sum, which loses what another worker adds meanwhile.
    """

    def added(variable: keras.Variable) -> Callable[[Any], tf.Tensor]:
        return lambda value: variable.value.assign_add(tf.cast(value, variable.dtype))

    for variable in variables:
        variable.assign_add = added(variable)


class _Results:
    """Waits for results in a thread, so that the main thread can notice lost tasks and signals."""

    def __init__(self):
        self._asked: queue.SimpleQueue = queue.SimpleQueue()
        self._found: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self, value: Any) -> None:
        self._asked.put(value)

    def wait(self, seconds: float) -> Any:
        """Returns the next result or error; `None` if none arrives within so many seconds."""
        try:
            return self._found.get(timeout=seconds)
        except queue.Empty:
            return None

    def _run(self) -> None:
        while True:
            value = self._asked.get()
            try:
                self._found.put(value.fetch())
            except Exception as error:
                self._found.put(error)
