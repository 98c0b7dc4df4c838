"""Keeps TensorFlow's notes on its own workings off the screen."""

import tensorflow as tf
from absl import flags, logging


def quiet() -> None:
    """Shows warnings and errors only, unless the user gave `--verbosity`.

    Example:
        >>> quiet()
    """
    if flags.FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.WARNING)
        tf.get_logger().setLevel("WARNING")
