"""Checks a wheel of tf-helen in the environment it was installed into, away from the checkout.

`make test-wheel` runs it: `python installed.py core CHECKOUT` after `pip install WHEEL`, with
`models` after `pip install 'WHEEL[zoo]'` and with `commands` after `pip install 'WHEEL[launch]'`.
It uses nothing that those do not install, so not pytest either.
"""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("tf_helen", "zoo", "launch")
NEEDED = {"tensorflow", "keras", "numpy", "absl-py"}
# What a new virtual environment holds, and the package itself.
OWN = {"pip", "setuptools", "wheel", "tf-helen"}


def canonical(name: str) -> str:
    """The name of a distribution as indexes compare it: `absl_py` is `absl-py`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_by(name: str, extras: frozenset[str] = frozenset()) -> dict[str, frozenset[str]]:
    """The distributions that one asks for here, without those of its other extras.

    Args:
        name: an installed distribution.
        extras: extras of it that were asked for.

    Returns:
        `{canonical name: extras of that one}`.
    """
    from packaging.requirements import Requirement  # TensorFlow needs it

    found = {}
    for line in importlib.metadata.requires(name) or ():
        one = Requirement(line)
        environments = [{"extra": extra} for extra in extras or ("",)]
        if one.marker is None or any(one.marker.evaluate(each) for each in environments):
            found[canonical(one.name)] = frozenset(one.extras)
    return found


def check_dependencies() -> None:
    """Only what `import tf_helen` needs was installed, and what that needs."""
    asked = needed_by("tf-helen")
    assert set(asked) == NEEDED, f"tf-helen without extras asks for {sorted(asked)}"
    allowed, waiting = set(OWN), list(asked.items())
    while waiting:
        name, extras = waiting.pop()
        if name not in allowed:
            allowed.add(name)
            waiting += needed_by(name, extras).items()
    installed = {canonical(one.name) for one in importlib.metadata.distributions()}
    assert installed <= allowed, f"installed for no reason: {sorted(installed - allowed)}"
    assert installed >= NEEDED | {"tf-helen"}, sorted(installed)


def check_files(checkout: Path) -> None:
    """Every file of the packages that git knows is in the wheel, and no other."""
    listed = subprocess.run(
        ["git", "-C", checkout, "ls-files", *PACKAGES], capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {name for name in listed if Path(name).name != "BUILD"}
    files = {path.as_posix() for path in importlib.metadata.files("tf-helen")}
    held = {name for name in files if name.split("/")[0] in PACKAGES and "__pycache__" not in name}
    assert held == expected, f"missing or left over: {sorted(held ^ expected)}"


def check_origin() -> None:
    """The package that is imported is the installed one."""
    import tf_helen

    assert Path(sys.prefix) in Path(tf_helen.__file__).parents, tf_helen.__file__
    assert tf_helen.__version__ == importlib.metadata.version("tf-helen")


def check_training() -> None:
    """A model trains, is saved, and predicts the same after loading."""
    import keras
    import numpy as np

    import tf_helen

    inputs = keras.Input((2,), dtype="int32")
    x = tf_helen.layers.Embedding({"user": 10, "item": 20}, 4)(inputs)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    model.compile(
        optimizer=tf_helen.Helen(rho=0.01, base_optimizer=tf_helen.AdamAR(alpha=1e-4)),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    rng = np.random.default_rng(0)
    ids = rng.integers(0, (10, 20), (64, 2)).astype("int32")
    labels = (ids[:, :1] % 2).astype("float32")
    losses = model.fit(ids, labels, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0], losses
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        loaded = keras.models.load_model(f"{folder}/model.keras")
    predicted = [one.predict(ids, verbose=0) for one in (model, loaded)]
    np.testing.assert_array_equal(*predicted)


def check_absent() -> None:
    """Without the extra, `import zoo` names the package that is missing."""
    try:
        import zoo  # noqa: F401
    except ModuleNotFoundError as error:
        assert error.name not in PACKAGES, error
    else:
        raise AssertionError("`import zoo` works without its extra: declare fewer packages")


def check_models() -> None:
    """A model of the zoo trains on record files, with the extra for it alone."""
    import keras
    import numpy as np

    import zoo

    assert importlib.util.find_spec("polars") is None, "not only what models need is installed"
    schema = zoo.Schema("tiny", [zoo.Categorical("user", 9), zoo.Categorical("item", 5)])
    rng = np.random.default_rng(0)
    ids = rng.integers(0, (9, 5), (64, 2)).astype("int32")
    rows = {"ids": ids, "label": (ids[:, 0] % 2).astype("float32")}
    with tempfile.TemporaryDirectory() as folder:
        zoo.write_tfrecords(folder, schema, "train", [rows])
        data = zoo.read_tfrecords(folder, "train", batch_size=16)
        for name in ("deepfm", "dcnv2", "dlrm"):  # the last two use keras-rs
            model = zoo.get(name)(schema, embedding_dim=4)
            model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
            assert np.isfinite(model.fit(data, verbose=0).history["loss"][0]), name


def check_commands() -> None:
    """The console command runs in a folder that has nothing to do with the checkout."""
    program = Path(sys.executable).with_name("tf-helen")
    with tempfile.TemporaryDirectory() as folder:
        for arguments, word in [
            ([], "train"),
            (["models"], "deepfm"),
            (["models", "--presets"], "frappe/deepfm"),
            (["train", "--help"], "--model"),
        ]:
            done = subprocess.run(
                [program, *arguments], cwd=folder, capture_output=True, text=True, check=False
            )
            # absl's --help ends with 1.
            assert done.returncode in (0, "--help" in arguments), (arguments, done)
            assert word in done.stdout, (arguments, done)


def main(what: str, checkout: str) -> None:
    """Runs the checks of one installation.

    Args:
        what: `"core"`, `"models"` or `"commands"`.
        checkout: the root of the checkout that the wheel was built from.
    """
    root = Path(checkout).resolve()
    check_origin()
    if what == "core":
        check_files(root)
        check_dependencies()
        check_absent()
        check_training()
    elif what == "models":
        check_models()
    else:
        check_commands()
    print(f"the installed tf-helen: {what} as it should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
