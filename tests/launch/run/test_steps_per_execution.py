"""Several steps per execution: the same numbers, the same progress, the same checkpoints."""

import dataclasses

import pytest
from small_clicks import SMALL, prepare_clicks

from launch.run import checkpoints
from launch.run.config import RunConfig
from launch.run.progress import Progress
from launch.run.starting import steps_at_once
from launch.run.training import train


@pytest.mark.parametrize(
    ("batch_size", "steps", "expected"),
    [(512, 100_000, 16), (512, 640, 10), (4096, 10_000, 2), (16_384, 10_000, 1), (64, 7, 1)],
)
def test_auto_depends_on_rows_and_steps(batch_size, steps, expected):
    config = RunConfig("data", "out", batch_size=batch_size, steps_per_execution="auto")
    assert steps_at_once(config, steps) == expected
    assert steps_at_once(dataclasses.replace(config, steps_per_execution=5), steps) == 5


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True])
def test_other_values_are_refused(wrong):
    with pytest.raises(ValueError, match="steps_per_execution"):
        RunConfig("data", "out", steps_per_execution=wrong)


def test_progress_counts_the_rows_of_all_steps():
    progress = Progress("epoch", rows=1000, batch_size=100, show=False)
    progress.on_epoch_begin(0)
    for last in (3, 7, 11):  # 10 steps, 4 at a time
        progress.on_train_batch_end(last, {"loss": 0.5})
    progress.on_epoch_end(0)
    assert round(progress.rows_per_second * progress.seconds) == 1000


@pytest.mark.slow
def test_numbers_and_resume_are_those_of_single_steps(tmp_path, monkeypatch):
    data = prepare_clicks(tmp_path / "data")
    config = RunConfig(
        data, f"{tmp_path}/one", "dnn", SMALL, epochs=2, batch_size=40, checkpoint_every=0,
        progress=False,
    )  # fmt: skip
    one = train(config)
    four = dataclasses.replace(config, out=f"{tmp_path}/four", steps_per_execution=4)
    saved = []

    class Killed(Exception):
        pass

    save = checkpoints.Checkpoints.save

    def save_and_stop(self, epoch, step=0, protect=()):
        save(self, epoch, step, protect)
        saved.append((epoch, step))
        if saved[-1] == (1, 8):
            raise Killed

    monkeypatch.setattr(checkpoints.Checkpoints, "save", save_and_stop)
    with pytest.raises(Killed):
        train(four)
    assert saved == [(0, 4), (0, 8), (1, 0), (1, 4), (1, 8)]  # of 10 steps
    monkeypatch.setattr(checkpoints.Checkpoints, "save", save)
    resumed = train(dataclasses.replace(four, resume=True))
    for found, expected in zip(resumed.epochs, one.epochs, strict=True):
        assert (found.loss, found.valid_auc) == (expected.loss, expected.valid_auc)
