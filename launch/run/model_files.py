"""Reads `.keras` files, which may be damaged."""

from __future__ import annotations

import zipfile

import keras
import tensorflow as tf

from tf_helen.stores import gfile
from tf_helen.stores.local_copies import local_file
from zoo.data.files import DataError


def load_keras(path: str, advice: str) -> keras.Model:
    """Loads a model without its optimizer after checking the checksums of the file.

    Keras reads weights without these checks: a changed byte would change a weight.

    Args:
        path: string, a `.keras` file, local or remote.
        advice: string, what to do if the file is damaged, for the message.

    Returns:
        The Keras model.

    Raises:
        DataError: if the file is damaged or does not contain a model.

    Example:
        >>> load_keras("out/frappe/best.keras", "train again").summary()  # doctest: +SKIP
    """
    try:
        # A damaged file may raise almost any error, such as NotImplementedError for an unknown
        # compression, RuntimeError for a password, or zlib.error.
        with gfile.GFile(path, "rb") as file, zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except Exception as error:
        raise DataError(f"{path} is damaged or unreadable ({error}); {advice}") from None
    if damaged is not None:
        raise DataError(f"{path} is damaged (checksum of {damaged}); {advice}")
    try:
        return keras.saving.load_model(local_file(path), compile=False)
    except tf.errors.OpError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{path} cannot be loaded ({reason[0]}); {advice}") from error
