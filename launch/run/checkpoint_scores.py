"""The evaluator of a cluster: scores the checkpoints of a run while it trains."""

from __future__ import annotations

import csv
import io
import signal
import time

import keras
import tensorflow as tf

import zoo
from launch.run.checkpoints import Checkpoints
from launch.run.cluster import Cluster, is_reachable
from launch.run.config import RunConfig
from launch.run.evaluation import Evaluator
from launch.run.starting import compiled_model
from tf_helen.callbacks.state_files import SavedState
from tf_helen.optimizers.foreign import driver_of
from tf_helen.stores import gfile
from tf_helen.training.loss_scaling import unwrap
from zoo.data.files import DataError, join, write_text
from zoo.data.identity import data_identity

FILE_NAME = "evaluations.csv"
_POLL = 1.0  # seconds
_NAMES = ("epoch", "step", "valid_auc", "valid_logloss")


def score_checkpoints(config: RunConfig, cluster: Cluster, seconds: float) -> None:
    """Scores the validation split with each new checkpoint of a run, until the chief ends.

    It prints a line for each, and writes them to `evaluations.csv` in the folder of the run. If a
    newer checkpoint is written while one is scored, those between are left out. The model is on
    this machine as a whole.

    Args:
        config: `RunConfig`, the settings of the run.
        cluster: `Cluster`.
        seconds: float, how long to wait for the chief to start or to start again.

    Raises:
        ValueError: if the chief does not start.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # each line is written when it is complete
        signal.signal(number, signal.SIG_DFL)
    scorer = _Scorer(config)
    (chief,) = cluster.addresses["chief"]
    seen, last = False, time.monotonic()
    while time.monotonic() - last < seconds:
        is_running = is_reachable(chief)
        if is_running:
            seen, last = True, time.monotonic()
        if not scorer.score_newest():
            if seen and not is_running:
                break
            time.sleep(_POLL)
    if not seen:
        raise ValueError(f"chief ({chief}) did not start within {seconds:g} s; start it first")
    print(f"the chief ({chief}) has ended; {cluster.name} ends too", flush=True)


class _Scorer:
    """Loads states of a run into a model of this process, and scores them."""

    def __init__(self, config: RunConfig):
        self._out = config.out
        schema = zoo.Schema.load(config.data)
        keras.utils.set_random_seed(config.seed)
        self._model = compiled_model(config, schema, data_identity(config.data))
        self._checkpoints = Checkpoints(config.out, self._model)
        self._valid = zoo.read_tfrecords(
            config.data, "valid", schema, batch_size=4096, max_lost=config.max_lost
        )
        self._evaluate = Evaluator(self._model)
        # The checkpoints of an earlier process, which `--overwrite` removes.
        self._known = {_identity(saved) for saved in self._checkpoints.files.newest()}
        self._scores: list[tuple] = []

    def score_newest(self) -> bool:
        """Scores the newest checkpoint; returns whether there was one that had no scores."""
        found = self._checkpoints.files.newest()[:1]
        if not found or _identity(found[0]) in self._known:
            return False
        (saved,) = found
        try:
            self._known.add(_identity(saved))
            self._load(saved)
        except (DataError, ValueError, tf.errors.OpError) as error:
            # The chief removes old checkpoints, also while they are read.
            if gfile.exists(f"{saved.path}.index"):
                print(f"{saved.path} was not scored: {error}", flush=True)
            return True
        scores = self._evaluate(self._valid)
        step = f", step {saved.step} of the next" if saved.step else ""
        print(
            f"after epoch {saved.epoch}{step}: valid AUC {scores['auc']:.5f}, LogLoss "
            f"{scores['logloss']:.5f}",
            flush=True,
        )
        self._scores.append((saved.epoch, saved.step, scores["auc"], scores["logloss"]))
        self._save()
        return True

    def _load(self, saved: SavedState) -> None:
        driver = driver_of(unwrap(self._model.optimizer))
        variables = self._model.trainable_variables
        driver.let_go(variables)
        self._checkpoints.load(saved)
        driver.attach(variables)  # the rows of the state may have to decay

    def _save(self) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_NAMES)
        writer.writerows([[repr(value) for value in line] for line in self._scores])
        write_text(join(self._out, FILE_NAME), text.getvalue())


def _identity(saved: SavedState) -> tuple[str, int]:
    """Returns the name of a state and when it was written."""
    path = f"{saved.path}.index"
    written = gfile.stat(path).mtime_nsec if gfile.exists(path) else 0
    return saved.path, written
