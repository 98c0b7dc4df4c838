"""Reads `.keras` files, which may be damaged."""

from __future__ import annotations

import zipfile

import keras
import tensorflow as tf

from zoo.data.files import DataError


def load_keras(path: str, advice: str) -> keras.Model:
    """Loads a model without its optimizer, once all bytes of the file are known to be sound.

    Keras itself reads weights past the checksums of the file: a changed byte would change a weight.

    Args:
        path: a `.keras` file, local or remote.
        advice: what to do if it is damaged, for the message.

    Returns:
        The model.

    Raises:
        DataError: if the file is damaged, or holds something else than a model.

    Example:
        >>> load_keras("out/frappe/best.keras", "train again").summary()  # doctest: +SKIP
    """
    try:
        # Of a damaged file these may raise nearly everything, such as NotImplementedError of a
        # kind of compression, RuntimeError of a password, or zlib.error.
        with tf.io.gfile.GFile(path, "rb") as file, zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except Exception as error:
        raise DataError(f"{path} is damaged or unreadable ({error}); {advice}") from None
    if damaged is not None:
        raise DataError(f"{path} is damaged (checksum of {damaged}); {advice}")
    try:
        return keras.saving.load_model(path, compile=False)
    except tf.errors.OpError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{path} cannot be loaded ({reason[0]}); {advice}") from error
