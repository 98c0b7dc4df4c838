"""Hides TensorFlow's log lines."""

import tensorflow as tf
from absl import flags, logging


def quiet() -> None:
    """Shows only warnings and errors, unless `--verbosity` is set.

    Call it before the flags are parsed: afterwards absl treats an unset flag as "info".

    Example:
        >>> quiet()
    """
    flags.FLAGS.verbosity = logging.WARNING
    tf.get_logger().setLevel("WARNING")
