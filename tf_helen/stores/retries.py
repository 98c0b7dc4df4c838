"""Repeats requests that may succeed later, and gives their errors TensorFlow's types."""

from __future__ import annotations

import errno
import http.client
import time
from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf
from absl import logging

from tf_helen.stores.options import store_options

_Result = TypeVar("_Result")
# Packages whose errors about the connection are not `OSError`s.
_NETWORK = (
    *("aiobotocore", "aiohttp", "aiosignal", "botocore", "google", "azure", "requests"),
    *("urllib3", "paramiko", "fsspec", "gcsfs", "adlfs"),
)
_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "NoAuthTokenError",
    "ProfileNotFound",
    "UnauthorizedSSOTokenError",
    "ClientAuthenticationError",
)
_SETTINGS = (
    "ParamValidationError",
    "NoRegionError",
    "InvalidRegionError",
    "UnknownSignatureVersionError",
    "InvalidEndpointConfigurationError",
)
_FINAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.EMFILE, errno.EINVAL)
_LONGEST = 300  # characters of the reason in a message


class BrokenReadError(OSError):
    """A read gave fewer bytes than requested."""


def attempted(path: str, action: Callable[[], _Result]) -> _Result:
    """Calls a function until it succeeds, at most `StoreOptions.attempts` times.

    Args:
        path: string, the file, for messages and for the waits.
        action: function without arguments, which may be called repeatedly.

    Returns:
        Its result.

    Raises:
        tf.errors.NotFoundError: if the file does not exist.
        tf.errors.PermissionDeniedError: if the store refuses the credentials.
        tf.errors.UnavailableError: if all attempts failed.
        tf.errors.OpError: on other errors of the store.
        OSError: on errors of the local disk.

    Example:
        >>> attempted("s3://bucket/key", lambda: 3)
        3
    """
    waits = store_options().waits(path)
    for number in range(1, store_options().attempts + 1):
        try:
            return action()
        except tf.errors.OpError:
            raise
        except Exception as error:
            if not _may_pass(error):
                raise translated(error, path) from error
            wait = next(waits, None)
            if wait is None:
                times = f"{number} attempts" if number > 1 else "1 attempt"
                raise tf.errors.UnavailableError(
                    None, None, f"{path}: {times} failed, the last one with {_reason(error)}"
                ) from error
            logging.info("%s: %s; attempt %d in %.1f s", path, _reason(error), number + 1, wait)
            time.sleep(wait)
    raise AssertionError(path)


def translated(error: Exception, path: str) -> Exception:
    """Returns the error to raise in place of an error of a store.

    Args:
        error: the error.
        path: string, the file.

    Returns:
        `tf.errors.OpError` whose message names the file; errors of the local disk and of the
        program are returned as they are.

    Example:
        >>> translated(FileNotFoundError("key"), "s3://bucket/key").message
        's3://bucket/key does not exist'
    """
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return tf.errors.NotFoundError(None, None, f"{path} does not exist")
    if isinstance(error, PermissionError) or name in _CREDENTIALS:
        message = (
            f"{path}: access denied ({_reason(error)}); check the credentials and the permissions "
            "of the store"
        )
        return tf.errors.PermissionDeniedError(None, None, message)
    if isinstance(error, FileExistsError):
        return tf.errors.AlreadyExistsError(None, None, f"{path} exists")
    if isinstance(error, IsADirectoryError | NotADirectoryError) or name in _SETTINGS:
        return tf.errors.FailedPreconditionError(None, None, f"{path}: {_reason(error)}")
    if isinstance(error, OSError) and error.errno in _FINAL:
        return error
    if _of_a_network(error) or isinstance(error, OSError):
        return tf.errors.UnknownError(None, None, f"{path}: {_reason(error)}")
    return error


def _may_pass(error: Exception) -> bool:
    """Returns whether a request may succeed if it is repeated."""
    if type(error).__name__ in (*_CREDENTIALS, *_SETTINGS):
        return False
    if isinstance(
        error,
        FileNotFoundError | PermissionError | FileExistsError | IsADirectoryError
        | NotADirectoryError,
    ):  # fmt: skip
        return False
    if isinstance(error, OSError):
        return error.errno not in _FINAL
    return isinstance(error, EOFError | http.client.HTTPException) or _of_a_network(error)


def _of_a_network(error: Exception) -> bool:
    return any(kind.__module__.split(".")[0] in _NETWORK for kind in type(error).__mro__)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, TimeoutError):
        seconds = store_options().timeout
        return f"a time-out after {seconds:g} s" + (f" ({text})" if text else "")
    return (text or type(error).__name__)[:_LONGEST]
