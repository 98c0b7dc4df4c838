"""Imports TensorFlow without its lines about the machine; imports nothing else."""

import os

from launch import interrupts


def import_tensorflow() -> None:
    """Imports TensorFlow and lists the devices, with the standard error discarded.

    TensorFlow writes some lines (the processor's instructions, a missing GPU) before its logging
    can be configured. An import that fails raises as usual. `TF_CPP_MIN_LOG_LEVEL=0` in the
    environment shows all lines.

    Example:
        >>> import_tensorflow()
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    interrupts.standard_error = kept
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()  # logs whether there is a GPU
    finally:
        os.dup2(kept, 2)
        interrupts.standard_error = 2
        os.close(kept)
        os.close(nowhere)
