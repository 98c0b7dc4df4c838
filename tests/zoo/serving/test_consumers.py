"""Clients without this package: C, saved_model_cli, ONNX Runtime and LiteRT score as TensorFlow."""

import re
import shutil
import subprocess
from pathlib import Path

import commands
import numpy as np
import pytest
import served
import tensorflow as tf

from zoo.data.files import DataError
from zoo.serving.export import export_saved_model
from zoo.serving.model_card import read_card
from zoo.serving.stored_tables import stored_tables
from zoo.serving.to_onnx import to_onnx

ROOT = Path(__file__).parents[3]
HOME = Path(tf.__file__).parent  # of the wheel, with its headers and libraries
LIBRARY = HOME / "libtensorflow_cc.so.2"
IDS = np.array([[1, 2, 3, 1, 2, -1], [4, 0, 19, -1, -1, -1], [99, -5, 2, 3, 3, 3]], np.int32)
NUMBERS = np.array([[1, 2], [np.nan, -3], [5, np.inf]], np.float32)
FORMS = [
    "float32",
    *(pytest.param(form, marks=pytest.mark.slow) for form in ("float16", "int8", "int4")),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """examples/serving/score.c, compiled."""
    if shutil.which("gcc") is None or not LIBRARY.exists():
        pytest.skip("no gcc, or a TensorFlow without libtensorflow_cc: the C client is not checked")
    folder = tmp_path_factory.mktemp("program")

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    source = str(ROOT / "examples/serving/score.c")
    run("gcc", "-c", "-Wall", "-Wextra", "-Werror", f"-I{HOME}/include", source, "-o", "score.o")
    # The linker would read a gigabyte of symbols; a library with the same name and the functions
    # that are called takes its place. The program then loads the real one.
    names = re.findall(r"U (TF_\w+)", run("nm", "-u", "score.o"))
    (folder / "names.c").write_text("".join(f"void {name}(void) {{}}\n" for name in names))
    run("gcc", "-shared", "names.c", f"-Wl,-soname,{LIBRARY.name}", "-o", "names.so")
    run("gcc", "score.o", "./names.so", f"-Wl,-rpath,{HOME}", "-o", "score")
    return str(folder / "score")


def test_a_program_in_c_scores_alike(exported, scores, program, tmp_path):
    signature = read_card(exported)["signatures"]["serving_default"]
    lines = [signature["outputs"]["logit"]["tensor"]]
    for name, about in signature["inputs"].items():
        values = served.RAW[name]
        lines += [f"{about['tensor']} {about['dtype']} {len(values)}", *map(str, values)]
    (tmp_path / "request.txt").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [program, exported, str(tmp_path / "request.txt")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = [float(line) for line in done.stdout.split()]
    np.testing.assert_allclose(found, scores["logit"], atol=1e-6)


def test_saved_model_cli_scores_alike(exported, scores, tmp_path):
    # The tool takes literals, which NaN is not; infinity is missing too.
    inputs = ";".join(
        f"{name}={[v.encode() if isinstance(v, str) else v for v in values]!r}"
        for name, values in served.RAW.items()
    ).replace("nan", "1e999")
    done = commands.run(
        "-m", "tensorflow.python.tools.saved_model_cli", "run", f"--dir={exported}",
        "--tag_set=serve", "--signature_def=serving_default", f"--input_exprs={inputs}",
        f"--outdir={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "logit.npy"), scores["logit"], atol=1e-6)


@pytest.fixture(scope="module")
def exports(exported, tmp_path_factory):
    """The folder of an export with tables of a format."""
    found = {"float32": exported}

    def export(form):
        if form not in found:
            model = served.model()
            stored = stored_tables(model, form=form)
            out = str(tmp_path_factory.mktemp("forms") / form)
            folder = exported.removesuffix("/out")
            found[form] = export_saved_model(model, folder, out, stored=stored, warmup_requests=0)
        return found[form]

    return export


def expected(folder):
    serve = tf.saved_model.load(folder).signatures["serve_ids"]
    return serve(ids=tf.constant(IDS), numeric=tf.constant(NUMBERS))


@pytest.mark.parametrize("form", FORMS)
def test_onnx_runtime_scores_ids_alike(exports, form):
    for name in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"no {name}: ONNX is not checked; pip install {name}")
    import onnxruntime

    folder = exports(form)
    session = onnxruntime.InferenceSession(to_onnx(folder), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    found = dict(zip(outputs, session.run(None, {"ids": IDS, "numeric": NUMBERS}), strict=True))
    assert set(found) == {"probability", "logit"}
    for name, scores in expected(folder).items():
        np.testing.assert_allclose(found[name], scores, atol=1e-6, rtol=1e-6)


def test_onnx_needs_an_export(tmp_path):
    pytest.importorskip("tf2onnx", reason="no tf2onnx: ONNX is not checked; pip install tf2onnx")
    with pytest.raises(DataError, match="no SavedModel in"):
        to_onnx(str(tmp_path))


def test_litert_scores_ids_alike(exported):
    reason = "no ai-edge-litert: LiteRT is not checked; pip install ai-edge-litert"
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason=reason)
    loaded = tf.saved_model.load(exported)
    serve = loaded.signatures["serve_ids"]
    content = tf.lite.TFLiteConverter.from_concrete_functions([serve], loaded).convert()
    run = litert.Interpreter(model_content=content).get_signature_runner("serving_default")
    found = run(ids=IDS, numeric=NUMBERS)
    for name, scores in expected(exported).items():
        np.testing.assert_allclose(found[name], scores, atol=1e-6, rtol=1e-6)
