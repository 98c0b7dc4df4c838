"""The versions and backends of Keras are checked before Keras is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tf_helen.requirements import check_keras

ROOT = Path(__file__).parents[2]
HOW = "Set KERAS_BACKEND=tensorflow"


def run(*arguments, **environment):
    inherited = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "KERAS_HOME")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
    )


def last_line(done):
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("backend", ["jax", "torch", "numpy", "openvino", "TensorFlow"])
def test_another_backend_is_refused_before_keras_is_imported(backend):
    line = last_line(run("-c", "import tf_helen", KERAS_BACKEND=backend))
    assert line.startswith("ImportError: tf_helen needs Keras's TensorFlow backend.")
    assert f"Received: KERAS_BACKEND={backend}." in line and HOW in line


@pytest.mark.parametrize(
    "name", ["tf_helen.layers", "tf_helen.legacy", "zoo", "zoo.models.base", "launch.run.training"]
)
def test_every_package_asks_first(name):
    line = last_line(run("-c", f"import {name}", KERAS_BACKEND="jax"))
    assert line.startswith("ImportError: tf_helen needs Keras's TensorFlow backend.")


@pytest.mark.parametrize("command", ["train", "models", "prepare", "predict", "export"])
def test_commands_say_it_in_one_line(command):
    done = run("-m", f"launch.{command}", "--help", KERAS_BACKEND="jax")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: tf_helen needs Keras's TensorFlow backend.") and HOW in line
    assert done.returncode == 1 and done.stdout == ""


@pytest.mark.parametrize("named", ["KERAS_HOME", "HOME"])
def test_the_backend_of_keras_json_is_named_with_its_file(named, tmp_path):
    folder = tmp_path if named == "KERAS_HOME" else tmp_path / ".keras"
    folder.mkdir(exist_ok=True)
    file = folder / "keras.json"
    file.write_text(json.dumps({"backend": "torch"}))
    line = last_line(run("-c", "import tf_helen", **{named: str(tmp_path)}))
    assert f"Received: the backend 'torch' in {file}." in line and HOW in line


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_keras()
    monkeypatch.setenv("KERAS_BACKEND", "")  # as if it were not set
    with pytest.raises(ImportError, match="torch"):
        check_keras()


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", None])
def test_without_a_backend_in_the_file_it_is_tensorflow(text, tmp_path, monkeypatch):
    if text is not None:
        (tmp_path / "keras.json").write_text(text)
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    check_keras()


IMPORTED = """
import sys, types
config = types.SimpleNamespace(backend=lambda: {backend!r})
sys.modules["keras"] = types.SimpleNamespace(__version__={version!r}, config=config)
import tf_helen
"""


def test_a_keras_imported_before_with_another_backend_is_refused():
    line = last_line(run("-c", IMPORTED.format(backend="jax", version="3.12.0")))
    assert "Keras was imported before with the backend 'jax'" in line and HOW in line


@pytest.mark.parametrize("version", ["2.15.0", "3.9.2"])
def test_an_old_keras_is_refused(version):
    line = last_line(run("-c", IMPORTED.format(backend="tensorflow", version=version)))
    assert f"tf_helen needs Keras 3.10 or later. Received: Keras {version}." in line
    assert ("tf_helen.legacy" in line) == version.startswith("2")


def test_tf_keras_in_the_place_of_keras_is_refused():
    """As notebooks of Keras 2 do it; that module has no `config`."""
    code = (
        "import sys, types\n"
        "sys.modules['keras'] = types.SimpleNamespace(__version__='2.21.0')\n"
        "import zoo"
    )
    assert "Received: Keras 2.21.0." in last_line(run("-c", code))
