"""The extra io: tensorflow-io reads and writes `s3://` in TensorFlow 2.17, as before.

Needs tensorflow-io and moto: `make test-io`.
"""

import importlib.util
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tf_helen.stores.schemes import is_native

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_io") is None or not tf.__version__.startswith("2.17"),
    reason="NOT TESTED: tensorflow-io, or TensorFlow 2.17, is absent; run make test-io",
)


def test_a_folder_is_written_and_read(monkeypatch):
    from s3_server import BUCKET, s3_server

    with s3_server() as (address, _):
        for name, value in {
            "S3_ENDPOINT": address, "S3_USE_HTTPS": "0", "S3_VERIFY_SSL": "0",
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
        urllib.request.urlopen(request).read()
        folder = f"s3://{BUCKET}/data"
        assert is_native(folder)
        schema = zoo.Schema("s", [zoo.Categorical("user", 9)])
        rows = {"ids": np.arange(300)[:, None] % 9, "label": np.arange(300) % 2}
        zoo.write_tfrecords(folder, schema, "train", [rows], shards=2)
        batches = list(zoo.read_tfrecords(folder, "train").as_numpy_iterator())
        found = np.concatenate([features["ids"] for features, _ in batches])
        np.testing.assert_array_equal(found, rows["ids"])
