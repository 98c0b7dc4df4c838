"""Keeps TensorFlow's notes on its own workings off the screen."""

import tensorflow as tf
from absl import flags, logging


def quiet() -> None:
    """Shows warnings and errors only, unless the user gives `--verbosity`.

    To be called before the flags are parsed: absl then takes a flag that nobody set for "info".

    Example:
        >>> quiet()
    """
    flags.FLAGS.verbosity = logging.WARNING
    tf.get_logger().setLevel("WARNING")
