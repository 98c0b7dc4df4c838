"""Ends a piece of code before its n-th change of the file system, as a kill would."""

import itertools
import os
import shutil

import tensorflow as tf

_CHANGES = {
    tf.io.gfile: ("rename", "rmtree", "remove", "copy"),
    os: ("rename", "replace", "remove", "unlink", "rmdir"),
    shutil: ("rmtree", "move"),
}


class Killed(BaseException):
    """The end of the code; no file may be changed after it."""


def at_every_change(monkeypatch, run, prepare=lambda: None):
    """Runs code again and again, ended before its first, second, ... change, until it finishes.

    Args:
        monkeypatch: pytest's.
        run: the code; takes nothing.
        prepare: called before every run, unharmed.

    Yields:
        The number of changes that each ended run had made.
    """
    for allowed in itertools.count():
        prepare()
        with monkeypatch.context() as patch:
            _limit(patch, allowed)
            try:
                run()
            except Killed:
                ended = True
            else:
                ended = False
        if not ended:
            return
        yield allowed


def _limit(patch, allowed):
    left = [allowed]

    def limited(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:  # and every later one: what cleans up is dead too
                raise Killed
            return function(*args, **kwargs)

        return call

    for module, names in _CHANGES.items():
        for name in names:
            patch.setattr(module, name, limited(getattr(module, name)))
