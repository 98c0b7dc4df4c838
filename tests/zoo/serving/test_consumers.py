"""Clients without this package: C, saved_model_cli, ONNX Runtime and LiteRT score as TensorFlow.

`make test-consumers` installs all tools and sets TF_HELEN_ALL_CONSUMERS, which makes a missing one
a failure.
"""

import ast
import csv
import importlib
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import commands
import numpy as np
import pytest
import served
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

import zoo
from zoo.data.files import DataError
from zoo.data.vocabulary import save_vocabulary
from zoo.serving.encoding import ids_from_text, lookup_table
from zoo.serving.encoding_table import encoding_table
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


def absent(what):
    """Skips a test because a tool is missing, or fails if all must be there."""
    if os.environ.get("TF_HELEN_ALL_CONSUMERS"):
        pytest.fail(what)
    pytest.skip(what)


def needed(name, client):
    """Imports a module of a client."""
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0].replace("_", "-")
        return absent(f"no {package}: {client} is not checked; pip install {package}")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """examples/serving/score.c, compiled."""
    if shutil.which("gcc") is None or not LIBRARY.exists():
        absent("no gcc, or a TensorFlow without libtensorflow_cc: the C client is not checked")
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
    needed("tf2onnx", "ONNX")
    onnxruntime = needed("onnxruntime", "ONNX")
    folder = exports(form)
    session = onnxruntime.InferenceSession(to_onnx(folder), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    found = dict(zip(outputs, session.run(None, {"ids": IDS, "numeric": NUMBERS}), strict=True))
    assert set(found) == {"probability", "logit"}
    for name, scores in expected(folder).items():
        np.testing.assert_allclose(found[name], scores, atol=1e-6, rtol=1e-6)


def test_onnx_needs_an_export(tmp_path):
    needed("tf2onnx", "ONNX")
    with pytest.raises(DataError, match="no SavedModel in"):
        to_onnx(str(tmp_path))


def test_litert_scores_ids_alike(exported):
    litert = needed("ai_edge_litert.interpreter", "LiteRT")
    loaded = tf.saved_model.load(exported)
    serve = loaded.signatures["serve_ids"]
    content = tf.lite.TFLiteConverter.from_concrete_functions([serve], loaded).convert()
    run = litert.Interpreter(model_content=content).get_signature_runner("serving_default")
    found = run(ids=IDS, numeric=NUMBERS)
    for name, scores in expected(exported).items():
        np.testing.assert_allclose(found[name], scores, atol=1e-6, rtol=1e-6)


# Raw rows to scores without TensorFlow: examples/serving/score_onnx.py.

SCRIPT = ROOT / "examples/serving/score_onnx.py"


@pytest.fixture(scope="module")
def script():
    """The program as a module; its part before the ONNX model needs NumPy only."""
    spec = importlib.util.spec_from_file_location("score_onnx", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_program_needs_numpy_and_onnxruntime_only():
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def test_its_hash_is_that_of_tensorflow(script):
    draw = random.Random(0)
    texts = [draw.randbytes(length) for length in [*range(140), 191, 192, 193, 1000]]
    expected = tf.strings.to_hash_bucket_fast(texts, 2**63 - 1).numpy().tolist()
    assert [script.fingerprint64(text) % (2**63 - 1) for text in texts] == expected


FIELDS = [
    zoo.Categorical("user", 5, missing="bucket"),
    zoo.Categorical("tags", 5, length=2, separator="+"),
    zoo.Categorical("ip", 50, encoding="hash", missing="bucket"),
    zoo.Categorical("site", 9, encoding="hash", length=3),
    zoo.Categorical("age", encoding="buckets", boundaries=(-1.0, 1e-40, 0.7, 18.0)),
    zoo.Categorical("visits", 5, encoding="log_square", missing="bucket"),
]
TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "ann", "a\tb", "é", "2_0", "NaN", "inf", "1e999", "-1e999", "٣", "+"]
    ),
    st.sampled_from(["0.7", "18", "\u20031\u2003", "1e-39", "-1e-50", "20", "2", "2.5", "-3.9"]),
    st.from_regex(r"[+-]?[0-9]{0,3}\.?[0-9]{0,4}(e[+-]?[0-9])?", fullmatch=True),
    st.text("ab é+\r\n.", max_size=80),
)


def test_it_encodes_as_the_export(script, tmp_path):
    vocabularies = {
        "user": ["<oov>", "", "ann", "a b", "é"],
        "tags": ["<oov>", "a", "b", "ann", "."],
        "visits": ["<oov>", "", "0", "8", "-3"],
    }
    schema = zoo.Schema("read", FIELDS, [zoo.Numeric("price", mean=1.0, std=2.0)])
    schema.save(str(tmp_path))
    for name, words in vocabularies.items():
        save_vocabulary(str(tmp_path), name, words, np.ones(len(words), np.int64))
    out = export_saved_model(
        zoo.LR(schema), str(tmp_path), str(tmp_path / "out"), warmup_requests=0
    )
    encoder = script.Encoder(encoding_table(out))
    tables = {field.name: lookup_table(tmp_path, field) for field in FIELDS}
    assert encoder.numbers == ["price"]

    @examples(20)
    @given(st.lists(TEXTS, min_size=1, max_size=30))
    def agree(texts):
        for field, told in zip(FIELDS, encoder.fields, strict=True):
            ids = ids_from_text(field, tf.constant(texts), tables[field.name])
            assert [encoder.field(told, text) for text in texts] == ids.numpy().tolist()

    agree()
    numbers = {" 1.5": 1.5, "2_0": np.nan, "": np.nan, "1e300": np.inf, "-7": -7, "nan": np.nan}
    rows = [{"price": text, **{field.name: "" for field in FIELDS}} for text in numbers]
    found = encoder.encode(rows)["numeric"]
    np.testing.assert_array_equal(found[:, 0], np.array([*numbers.values()], np.float32))


def test_raw_rows_score_alike_with_onnx_runtime_alone(exported, scores, tmp_path):
    needed("tf2onnx", "ONNX")
    needed("onnxruntime", "ONNX")
    model, path = tmp_path / "served.onnx", tmp_path / "rows.csv"
    done = commands.run("-m", "launch.to_onnx", f"--saved_model={exported}", f"--out={model}")
    assert done.returncode == 0 and "served.encoding.json" in done.stdout, done.stderr
    columns = {"site.id" if name == "site_id" else name: v for name, v in served.RAW.items()}
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", *columns])
        writer.writerows(["-", *row] for row in zip(*columns.values(), strict=True))
    command = [sys.executable, "-I", str(SCRIPT), str(model), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [float(line) for line in done.stdout.split()]
    np.testing.assert_allclose(found, scores["probability"], atol=1e-6)
