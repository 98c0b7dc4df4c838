"""Requests are repeated a bounded number of times; errors say what failed in one line."""

import errno

import pytest
import tensorflow as tf

from tf_helen.stores import retries
from tf_helen.stores.options import StoreOptions, set_store_options, store_options
from tf_helen.stores.retries import attempted

PATH = "s3://bucket/key"


@pytest.fixture
def waited(monkeypatch):
    before, slept = store_options(), []
    monkeypatch.setattr(retries.time, "sleep", slept.append)
    yield slept
    set_store_options(attempts=before.attempts, first_wait=before.first_wait)


def failing(times, error):
    calls = []

    def act():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return act


def test_what_may_pass_is_repeated_after_growing_waits(waited):
    assert attempted(PATH, failing(3, ConnectionResetError("reset"))) == 4
    assert waited == list(store_options().waits(PATH))[:3]
    for number, wait in enumerate(waited):
        assert 0.25 * 2**number <= wait <= 0.5 * 2**number


def test_the_waits_are_those_of_the_seed():
    options = StoreOptions(attempts=9, longest_wait=2.0)
    waits = list(options.waits(PATH))
    assert waits == list(options.waits(PATH)) and len(waits) == 8 and max(waits) <= 2.0
    assert waits != list(options.waits(f"{PATH}2"))
    assert waits != list(StoreOptions(attempts=9, longest_wait=2.0, seed=1).waits(PATH))


def test_the_number_of_attempts_is_bounded(waited):
    set_store_options(attempts=3)
    with pytest.raises(tf.errors.UnavailableError) as caught:
        attempted(PATH, failing(99, TimeoutError()))
    assert caught.value.message == (
        "s3://bucket/key: 3 attempts failed, the last one with a time-out after 60 s"
    )
    assert len(waited) == 2


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (FileNotFoundError("x"), tf.errors.NotFoundError, "s3://bucket/key does not exist"),
        (PermissionError("Forbidden"), tf.errors.PermissionDeniedError, "denied (Forbidden); che"),
        (OSError(errno.ENOSPC, "No space left on device"), OSError, "No space left"),
        (KeyError("bug"), KeyError, "bug"),
    ],
)
def test_other_errors_are_not_repeated(waited, error, kind, text):
    with pytest.raises(kind) as caught:
        attempted(PATH, failing(1, error))
    message = getattr(caught.value, "message", str(caught.value))
    assert text in message and "\n" not in message
    assert not waited


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"timeout": 0}, {"cache_bytes": 1.5}, {"cache_dir": "s3://b"}, {"seed": -1}],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StoreOptions(**wrong)
