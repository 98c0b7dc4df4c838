"""The command that prints the ids of dynamic tables."""

import pytest
from absl.testing import flagsaver
from command_flags import defined_flags
from small_clicks import SMALL, prepare_clicks

import launch.inspect
import zoo
from launch.analysis.runs import wide_tables
from launch.inspect import inspect_tables
from launch.inspection.models import dynamic_tables, load_model
from launch.run.config import RunConfig
from launch.run.training import train
from zoo.data.files import DataError
from zoo.serving.export import export_saved_model
from zoo.serving.stored_tables import stored_tables
from zoo.serving.to_onnx import to_onnx

DYNAMIC = {"capacity": {"user": 9}, "eviction": "count"}


@pytest.fixture(scope="module", autouse=True)
def defined():
    """The command's flags, for this module only."""
    yield from defined_flags(launch.inspect)


def run_of(data, out, dynamic=DYNAMIC, **changes):
    arguments = {**SMALL, "dynamic": dynamic}
    config = {"model_args": arguments, "epochs": 1, "batch_size": 64, "progress": False, **changes}
    train(RunConfig(data, str(out), model="dnn", **config))
    return str(out)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("clicks") / "data")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return run_of(data, tmp_path_factory.mktemp("run") / "dynamic")


@pytest.mark.parametrize("checkpoint", [False, True])
def test_it_prints_fields_and_ids_and_draws_them(run, tmp_path, capsys, checkpoint):
    layer = dynamic_tables(load_model(run))["embedding/table"]
    known = int(layer.table_state()["user"]["id"][0])
    with flagsaver.flagsaver(
        path=run, ids=[f"user={known}", "item=999"], out=str(tmp_path), checkpoint=checkpoint
    ):
        launch.inspect._main([])
    lines = capsys.readouterr().out.splitlines()
    (user,) = [line.split() for line in lines if line.startswith("user  ")]
    assert user[:4] == ["user", "9", "9", "100.0%"]
    assert int(user[5].replace(",", "")) > 0  # evicted
    assert any(line.startswith(f"user={known}: row ") and "norm" in line for line in lines)
    assert "item=999: no row; it reads the default row of the field" in lines
    assert (tmp_path / "embedding_table.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_resumes_with_more_capacity(data, run, tmp_path, capsys):
    grown = {**DYNAMIC, "capacity": {"user": 20}}
    first = run_of(data, tmp_path / "grown")
    run_of(data, first, dynamic=grown, epochs=2, resume=True)
    state = dynamic_tables(load_model(first, checkpoint=True))["embedding/table"].table_state()
    assert (state["user"]["capacity"], len(state["user"]["id"])) == (20, 20)
    with pytest.raises((DataError, ValueError), match="capacities"):
        run_of(data, first, dynamic={**DYNAMIC, "capacity": {"user": 3}}, epochs=3, resume=True)


def test_rows_of_dynamic_tables_are_not_analyzed_as_ids(run):
    with pytest.raises(DataError, match=r"has dynamic tables.*launch.inspect"):
        wide_tables(load_model(run))


def test_an_export_finds_the_rows_of_ids(data, run, tmp_path):
    import tensorflow as tf

    model = load_model(run)
    out = export_saved_model(model, data, str(tmp_path / "served"))
    rows = next(iter(zoo.read_tfrecords(data, "test", model.schema, batch_size=50)))[0]
    served = tf.saved_model.load(out).signatures["serve_ids"](ids=rows["ids"])
    expected = model.predict(rows, verbose=0)[:, 0]
    assert abs(served["logit"].numpy() - expected).max() < 1e-5
    pytest.importorskip("tf2onnx")
    with pytest.raises(DataError, match="has dynamic tables, whose hash tables ONNX does not"):
        to_onnx(out)


def test_an_export_of_dynamic_tables_has_one_form(data, run, tmp_path):
    model = load_model(run)
    with pytest.raises(ValueError, match=r"dynamic tables are exported as they are.*int8"):
        stored_tables(model, form="int8")
    with pytest.raises(ValueError, match="dynamic tables have no signature user_once"):
        export_saved_model(model, data, str(tmp_path / "other"), user=["user"])


WRONG = [
    ({"path": "absent"}, "no folder absent"),
    ({"path": "absent.keras"}, "no file absent.keras"),
    ({"ids": ["user=ann"]}, "are integers. Received: 'ann'"),
    ({"ids": ["city=3"]}, "no field for 'city=3'.*Fields: user, item"),
    ({"ids": ["user"]}, "cannot read 'user'; write FIELD=ID"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_bad_input_is_named(run, given, message):
    with pytest.raises(DataError, match=message):
        inspect_tables(**{"path": run, **given})


def test_a_model_without_dynamic_tables_is_named(data, tmp_path):
    run = run_of(data, tmp_path / "static", dynamic=None)
    with pytest.raises(DataError, match="has no dynamic table; train one with"):
        inspect_tables(run)
