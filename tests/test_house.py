"""The house rules: imports run downward, files are short, public names are documented."""

import ast
import contextlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("tf_helen", "zoo", "launch")  # each may import those before it
LONGEST = 400


def sources(*folders: str) -> list[Path]:
    """Returns the Python files below `folders` of the checkout."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(tree: ast.AST, package: str = "") -> set[str]:
    """Returns the top-level modules a file imports, wherever in it the import stands.

    Args:
        tree: the parsed file.
        package: the dotted package the file lies in, for relative imports.

    Returns:
        Names such as `{"numpy", "zoo"}`.

    Raises:
        Nothing.

    Example:
        `imported(ast.parse("from zoo import get")) == {"zoo"}`
    """
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(package if node.level else node.module or "")
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            # importlib.import_module("zoo") and __import__("zoo") are imports too.
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__"):
                names.add(str(node.args[0].value))
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import zoo.models", {"zoo"}),
        ("def f():\n    from launch import x", {"launch"}),
        ("from .a import b", {"tf_helen"}),
        ("importlib.import_module('zoo.x')", {"zoo"}),
        ("text = 'import zoo'", set()),
    ],
)
def test_the_import_check_sees_every_kind_of_import(code, found):
    assert imported(ast.parse(code), "tf_helen.a") == found


def test_imports_run_downward_only():
    files = sources(*FLOORS)
    assert files, f"no sources below {ROOT}"
    wrong = []
    for path in files:
        floor = path.relative_to(ROOT).parts[0]
        above = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"tests", "benchmarks"}
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wrong += [f"{path.relative_to(ROOT)} imports {n}" for n in imported(tree, floor) & above]
    assert not wrong, wrong


def test_files_are_short():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*FLOORS, "benchmarks")
    }
    assert not {name: n for name, n in lengths.items() if n > LONGEST}


def test_files_are_opened_on_every_file_system():
    """`tf.io.gfile` does not know the stores of fsspec; `tf_helen.stores.gfile` does."""
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources(*FLOORS)
        if "tf.io.gfile" in path.read_text(encoding="utf-8")
        and path.parent != ROOT / "tf_helen" / "stores"
    ]
    assert not wrong, wrong


def densified(tree: ast.AST) -> list[int]:
    """Returns the lines of a file that turn something named like a gradient into a tensor.

    Args:
        tree: the parsed file.

    Returns:
        Line numbers of `convert_to_tensor(x)` where the code of x speaks of a gradient: on
        `IndexedSlices` that call builds the whole table.

    Raises:
        Nothing.

    Example:
        `densified(ast.parse("tf.convert_to_tensor(gradient)")) == [1]`
    """
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if getattr(node.func, "attr", getattr(node.func, "id", "")) != "convert_to_tensor":
            continue
        values = node.args[:1] + [k.value for k in node.keywords if k.arg in ("value", "x")]
        words = {n.id for v in values for n in ast.walk(v) if isinstance(n, ast.Name)}
        attributes = {n.attr for v in values for n in ast.walk(v) if isinstance(n, ast.Attribute)}
        # `gradient.values` and `.indices` are tensors already: converting them builds no table.
        if attributes & {"values", "indices"}:
            continue
        if any(w == "g" or w.startswith("grad") or w.endswith("_grad") for w in words):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("tf.convert_to_tensor(gradient)", [1]),
        ("\nops.convert_to_tensor(x=grads[0])", [2]),
        ("convert_to_tensor(g)", [1]),
        ("tf.convert_to_tensor(gradient.values)", []),
        ("tf.convert_to_tensor(rows)", []),
    ],
)
def test_the_densify_check_sees_gradients(code, lines):
    assert densified(ast.parse(code)) == lines


def test_no_optimizer_densifies_a_gradient():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources("tf_helen/optimizers")
        for line in densified(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not wrong, wrong


def test_public_names_exist_and_are_documented():
    import tf_helen  # here: the other checks need no TensorFlow

    names = tf_helen.__all__
    missing = [name for name in names if not hasattr(tf_helen, name)]
    assert not missing, missing
    # A docstring inherited from the base class says nothing about this name.
    bare = []
    for name in names:
        value = getattr(tf_helen, name)
        own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
        if not (own or "").strip():
            bare.append(name)
    assert not bare, bare


# The only files that touch what Keras and tf_keras do not document, each name with its reason.
ACCESS = ("tf_helen/keras_access.py", "tf_helen/legacy/keras_access.py")
# Attributes that Keras sets on instances; those of its classes are found below.
PRIVATE = {
    *("_call_has_training_arg", "_checkpoint", "_compile_loss", "_distribute_strategy"),
    *("_distribution_strategy", "_initial_epoch", "_iterations", "_layers", "_learning_rate"),
    *(
        "_loss_tracker",
        "_non_trainable_weights",
        "_random_generator",
        "_trainable_variables",
        "_value",
        "_variables",
    ),
}
# Attributes of our own classes that Keras has too: allowed on `self`.
OWN = {"_checkpoint", "_dtype", "_lock", "_metrics", "_model", "_path"}


def privates_used(tree: ast.AST, private: set[str]) -> list[str]:
    """Returns where a file touches Keras's private names.

    Args:
        tree: the parsed file.
        private: the private names.

    Returns:
        `"line: name"` of each: an attribute, a string such as `getattr` takes, a method that
        overrides, or an import from `keras.src`.

    Raises:
        Nothing.

    Example:
        `privates_used(ast.parse("model._layers"), {"_layers"}) == ["1: _layers"]`
    """
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Attribute):
            on_self = isinstance(node.value, ast.Name) and node.value.id == "self"
            names = [] if on_self and node.attr in OWN else [node.attr]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        elif isinstance(node, ast.ClassDef):
            names = [child.name for child in node.body if isinstance(child, ast.FunctionDef)]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                modules = [f"{node.module}.{name}" for name in modules]
            found += [
                f"{node.lineno}: {module}"
                for module in modules
                if module.startswith(("keras.src", "tf_keras.src"))
            ]
        if isinstance(node, ast.Attribute) and node.attr == "src":
            names = ["src"] if getattr(node.value, "id", "") in ("keras", "tf_keras") else []
            found += [f"{node.lineno}: src" for _ in names]
            continue
        found += [f"{node.lineno}: {name}" for name in names if name in private]
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("model._layers", ["1: _layers"]),
        ("\nsetattr(x, '_layers', [])", ["2: _layers"]),
        ("class A:\n    def _layers(self): pass", ["1: _layers"]),
        ("def _layers(): pass", []),
        ("from keras.src.models import cloning", ["1: keras.src.models.cloning"]),
        ("from keras import src", ["1: keras.src"]),
        ("import tf_keras.src.engine", ["1: tf_keras.src.engine"]),
        ("keras.src.models", ["1: src"]),
        ("self._path = 1", []),
        ("variable._path", ["1: _path"]),
        ("model.layers", []),
    ],
)
def test_the_check_of_private_names_sees_them(code, found):
    assert privates_used(ast.parse(code), {"_layers", "_path"}) == found


def test_one_file_touches_the_private_names_of_keras():
    import keras
    import tensorflow as tf

    kinds = [keras]
    with contextlib.suppress(ImportError):
        import tf_keras

        kinds.append(tf_keras)
    known = set(PRIVATE)
    for kind in kinds:
        for cls in (
            *(kind.Model, kind.Sequential, kind.layers.Layer, kind.callbacks.Callback),
            *(kind.optimizers.Optimizer, kind.metrics.Metric, kind.losses.Loss),
        ):
            known.update(dir(cls))
    known.update(dir(keras.Variable))
    # TensorFlow documents no hooks for its checkpoints but these.
    known.difference_update(dir(tf.Module), dir(tf.Variable))
    known = {name for name in known if name.startswith("_") and not name.startswith("__")}
    assert {"_flatten_layers", "_get_variable_index", "_symbolic_build"} <= known
    wrong = []
    for path in sources(*FLOORS):
        name = path.relative_to(ROOT).as_posix()
        if name not in ACCESS:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            wrong += [f"{name}:{use}" for use in privates_used(tree, known)]
    assert not wrong, wrong
