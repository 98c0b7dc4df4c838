"""The examples in docstrings run, and print what they say."""

import ast
import doctest
import importlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
import zoo

ROOT = Path(__file__).parents[1]
GLOBALS = {"np": np, "tf": tf, "keras": keras, "tf_helen": tf_helen, "zoo": zoo}
# The examples of zoo name its own classes bare.
ZOO_GLOBALS = {name: getattr(zoo, name) for name in zoo.__all__}
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def has_examples(path: Path) -> bool:
    """Whether a docstring of the file holds an example that is not marked SKIP."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    docs = (ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds))
    examples = (example for doc in docs for example in doctest.DocTestParser().get_examples(doc))
    return not all(example.options.get(doctest.SKIP) for example in examples)


def modules() -> list[str]:
    """The modules of the three packages that hold examples to run."""
    files = [f for floor in ("tf_helen", "zoo", "launch") for f in (ROOT / floor).rglob("*.py")]
    parts = [f.relative_to(ROOT).with_suffix("").parts for f in sorted(files) if has_examples(f)]
    return [".".join(part).removesuffix(".__init__") for part in parts]


def run_examples(module) -> tuple[int, list[str]]:
    """Runs a module's examples.

    Args:
        module: an imported module; its own names are at hand in the examples too.

    Returns:
        How many examples ran, and the report of each that failed.
    """
    runner, reports = doctest.DocTestRunner(optionflags=FLAGS), []
    names = GLOBALS | (ZOO_GLOBALS if module.__name__.startswith("zoo.") else {})
    for test in doctest.DocTestFinder().find(module, extraglobs=names):
        runner.run(test, out=reports.append)
    return runner.tries, reports


@pytest.mark.parametrize("name", modules())
def test_examples(name, tmp_path, monkeypatch):
    if name.startswith("tf_helen.legacy"):
        pytest.importorskip("tf_keras", reason="tf_keras is not installed: tf-helen[tfrs]")
    monkeypatch.chdir(tmp_path)  # an example may write files
    tried, reports = run_examples(importlib.import_module(name))
    assert tried, f"{name} has examples that doctest does not see"
    assert not reports, "".join(reports)


def test_the_packages_have_examples():
    found = modules()
    assert {"tf_helen.optimizers.helen", "tf_helen.core.rows"} <= set(found)


def test_a_wrong_example_is_reported():
    module = type(tf)("sample")
    module.__doc__ = ">>> np.ones(2).tolist()\n[1.0,   1.0]\n>>> 1 + 1\n3\n"
    tried, reports = run_examples(module)
    assert tried == 2
    assert "Got:\n    2" in "".join(reports)
