"""The signatures of an export, its warm-up requests and its model card."""

import hashlib
import json

import numpy as np
import pytest
import served
import tensorflow as tf

from tf_helen.version import __version__
from zoo.data.files import DataError
from zoo.serving.code_version import code_version
from zoo.serving.export import export_saved_model
from zoo.serving.model_card import read_card
from zoo.serving.scorer import RawScorer
from zoo.serving.warmup import check_warmup, prediction_log

SIGNATURES = {"serving_default", "serve_examples", "examples", "serve_ids", "user_once"}


def features_of(folder):
    """The ids and numbers of the rows, by another way: the functions of the scorer."""
    return RawScorer(served.model(), folder)._encoded(served.SCHEMA, served.raw())


def test_probabilities_belong_to_logits(loaded, scores):
    assert set(loaded.signatures) == SIGNATURES
    np.testing.assert_allclose(scores["probability"], 1 / (1 + np.exp(-scores["logit"])), rtol=1e-6)
    assert np.ptp(scores["probability"]) > 0.1


@pytest.mark.parametrize("name", ["serve_examples", "examples"])
def test_examples_score_as_raw_features(loaded, scores, name):
    found = loaded.signatures[name](examples=tf.constant(served.examples()))
    for key in ("probability", "logit"):
        np.testing.assert_array_equal(found[key], scores[key])


def test_ids_score_as_raw_features(exported, loaded, scores):
    features = features_of(exported.removesuffix("/out"))
    found = loaded.signatures["serve_ids"](**features)
    np.testing.assert_array_equal(found["logit"], scores["logit"])


def test_ids_outside_their_field_count_as_unknown(loaded):
    serve = loaded.signatures["serve_ids"]
    ids = np.array([[9, -3, 5, 1, 7, -9], [0, 0, 5, 1, 0, -1]], np.int32)
    numbers = np.array([[np.nan, 1.0], [3.0, 1.0]], np.float32)
    logits = serve(ids=tf.constant(ids), numeric=tf.constant(numbers))["logit"].numpy()
    assert logits[0] == logits[1]


def test_items_score_as_rows_with_the_users_features(loaded):
    raw = served.raw()
    user = {name: raw[name][1:2] for name in served.USER_COLUMNS}
    rows = len(served.RAW["user"])
    repeated = {name: tf.repeat(value, rows) for name, value in user.items()}
    expected = loaded.signatures["serving_default"](**{**raw, **repeated})
    found = loaded.signatures["user_once"](**{**raw, **user})
    np.testing.assert_allclose(found["logit"], expected["logit"], atol=1e-6)
    np.testing.assert_allclose(found["probability"], expected["probability"], atol=1e-6)


def test_the_card_says_what_the_export_contains(exported):
    card = read_card(exported)
    assert card["tf_helen"] == __version__ and card["commit"] == code_version()
    assert card["model"]["class"] == "DeepFM"
    assert card["model"]["settings"]["hidden_units"] == [5]
    assert [field["name"] for field in card["schema"]["categorical"]][:2] == ["user", "age"]
    assert card["inputs"]["site.id"] == "site_id"
    assert card["user"] == ["user", "age", "price"]
    assert card["scores"] == {"valid": {"auc": 0.75}}
    with open(f"{exported}/assets/user.tsv", "rb") as file:
        assert card["vocabularies"]["user"] == hashlib.sha256(file.read()).hexdigest()
    assert set(card["vocabularies"]) == {"user", "tags"}
    assert card["tables"]["formats"] == ["float32"]
    assert card["tables"]["bytes"] == card["tables"]["bytes_float32"] == 33 * 4 * 4 + 33 * 4
    assert set(card["signatures"]) == SIGNATURES
    site = card["signatures"]["serving_default"]["inputs"]["site_id"]
    assert site == {"tensor": "serving_default_site_id:0", "dtype": "string", "shape": [None]}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 7}'])
def test_a_damaged_card_is_an_error(tmp_path, text):
    (tmp_path / "model_card.json").write_text(text)
    with pytest.raises(DataError, match=r"model_card\.json is damaged"):
        read_card(str(tmp_path))
    with pytest.raises(DataError, match=r"no model_card\.json"):
        read_card(str(tmp_path / "absent"))


def warmup(exported):
    path = f"{exported}/assets.extra/tf_serving_warmup_requests"
    return [record.numpy() for record in tf.data.TFRecordDataset(path)]


def test_warm_up_requests_are_those_of_tensorflow_serving(exported, loaded):
    reason = "pip install tensorflow-serving-api"
    serving = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason=reason)
    records = warmup(exported)
    assert len(records) == 12
    shapes = set()
    for record in records:
        request = serving.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(x) for name, x in request.inputs.items()}
        found = loaded.signatures[request.model_spec.signature_name](
            **{name: tf.constant(x) for name, x in inputs.items()}
        )
        assert np.isfinite(found["probability"]).all()
        shapes.add((request.model_spec.signature_name, *found["probability"].shape))
    assert shapes == {(n, rows) for n in SIGNATURES - {"examples"} for rows in (1, 16, 128)}
    assert b"ann" in records[0]  # a value of the vocabulary


def test_the_message_is_the_one_of_tensorflow_serving():
    serving = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    log = serving.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = "a" * 200  # a length of two bytes
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.arange(3, dtype=np.float32)))
    found = prediction_log("a" * 200, {"x": np.arange(3, dtype=np.float32)})
    assert found == log.SerializeToString(deterministic=True)


@pytest.mark.parametrize("requests", [-1, 1001, 2.5, True, "3"])
def test_the_number_of_warm_up_requests_has_a_limit(requests):
    with pytest.raises(ValueError, match="from 0 to 1000"):
        check_warmup(requests)


def test_equal_exports_have_equal_files(exported, tmp_path):
    """Function names in saved_model.pb count up within a process; all other files are equal."""
    folder = exported.removesuffix("/out")
    again = export_saved_model(
        served.model(), folder, str(tmp_path / "again"), user=served.USER_COLUMNS,
        card={"scores": {"valid": {"auc": 0.75}}},
    )  # fmt: skip
    for name in (
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets/user.tsv",
        "assets.extra/tf_serving_warmup_requests",
    ):
        with open(f"{exported}/{name}", "rb") as one, open(f"{again}/{name}", "rb") as other:
            assert one.read() == other.read(), name
    cards = [json.dumps({**read_card(f), "signatures": 0}) for f in (exported, again)]
    assert cards[0] == cards[1]
