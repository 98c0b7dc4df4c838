"""Checks the version and the backend of Keras before it is imported.

This file imports neither Keras nor TensorFlow, because Keras imports its backend when it is
imported.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path

OLDEST_KERAS = (3, 10)
_SET = (
    "Set KERAS_BACKEND=tensorflow in the environment, or "
    'os.environ["KERAS_BACKEND"] = "tensorflow" before Keras is first imported.'
)


def check_keras() -> None:
    """Raises unless Keras is recent enough and its backend is, or will be, TensorFlow.

    Raises:
        ImportError: says what was found, where it is set, and what to do.

    Example:
        >>> check_keras()
    """
    loaded = sys.modules.get("keras")
    _check_version(loaded)
    if loaded is not None and hasattr(loaded, "config"):
        backend = loaded.config.backend()
        if backend != "tensorflow":
            raise _error(
                "tf_helen needs Keras's TensorFlow backend. Keras was imported before with the "
                f"backend {backend!r}. {_SET}"
            )
        return
    backend, source = _configured_backend()
    if backend != "tensorflow":
        raise _error(f"tf_helen needs Keras's TensorFlow backend. Received: {source}. {_SET}")


def _check_version(loaded: object) -> None:
    version = getattr(loaded, "__version__", None) or _installed_version()
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_KERAS:
        oldest = ".".join(map(str, OLDEST_KERAS))
        legacy = ""
        if numbers < (3,):
            legacy = (
                " For models of tf_keras (Keras 2), also install Keras 3 and use `tf_helen.legacy`."
            )
        raise _error(
            f"tf_helen needs Keras {oldest} or later. Received: Keras {version}. Install it: "
            f"pip install 'keras>={oldest}'.{legacy}"
        )


def _installed_version() -> str:
    try:
        return importlib.metadata.version("keras")
    except importlib.metadata.PackageNotFoundError:
        # May be a copy without metadata; then its import raises.
        return ".".join(map(str, OLDEST_KERAS))


def _configured_backend() -> tuple[str, str]:
    """Returns the backend that Keras will choose, and where it is set."""
    named = os.environ.get("KERAS_BACKEND")
    if named:
        return named, f"KERAS_BACKEND={named}"
    path = _keras_folder() / "keras.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    backend = config.get("backend", "tensorflow") if isinstance(config, dict) else "tensorflow"
    return backend, f"the backend {backend!r} in {path}"


def _keras_folder() -> Path:
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = os.path.expanduser("~")
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"


def _error(message: str) -> ImportError:
    return ImportError(message, name="keras")
