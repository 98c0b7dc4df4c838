"""Requests that TensorFlow Serving runs before it serves an export for the first time.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of `tensorflow.serving.PredictionLog`.
Only these fields of TensorFlow Serving's messages are used, so they are encoded here, and the
package tensorflow-serving-api is not needed:

| message | field | number |
|---|---|---|
| `PredictionLog` | `PredictLog predict_log` | 6 |
| `PredictLog` | `PredictRequest request` | 1 |
| `PredictRequest` | `ModelSpec model_spec`, `map<string, TensorProto> inputs` | 1, 2 |
| `ModelSpec` | `string signature_name` | 3 |

The requests contain values of the vocabularies, in batches of 1, 16 and 128 rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tf_helen.stores import gfile
from zoo.data.columns import Categorical
from zoo.data.files import join, write_bytes
from zoo.data.vocabulary import vocabulary_path

if TYPE_CHECKING:
    from zoo.serving.scorer import RawScorer

FILE = "assets.extra/tf_serving_warmup_requests"
WARMUP_REQUESTS = 12
MOST_REQUESTS = 1000  # TensorFlow Serving rejects files with more
_ROWS = (1, 16, 128)
_VALUES = 256  # of a vocabulary, from its beginning


def check_warmup(requests: int) -> None:
    """Raises `ValueError` unless a number of warm-up requests is from 0 to 1000.

    Args:
        requests: the value received.

    Raises:
        ValueError: names it.

    Example:
        >>> check_warmup(12)
    """
    is_int = isinstance(requests, int) and not isinstance(requests, bool)
    if not is_int or not 0 <= requests <= MOST_REQUESTS:
        raise ValueError(
            f"`warmup_requests` must be an integer from 0 to {MOST_REQUESTS}, the most that "
            f"TensorFlow Serving reads. Received: {requests!r}"
        )


def write_warmup(folder: str, scorer: RawScorer, data: str, requests: int) -> None:
    """Writes the warm-up requests of an export.

    Args:
        folder: string, folder of the SavedModel.
        scorer: `RawScorer`, the functions of the export.
        data: string, folder with the vocabularies.
        requests: int, number of requests; 0: no file. On `ram://` no file is written.
    """
    # TensorFlow's file system in memory, which no server reads, lists `assets.extra` in `assets`.
    if not requests or folder.startswith("ram://"):
        return
    values = {f.name: _values(data, f) for f in scorer.schema.categorical}
    path = join(folder, FILE)
    gfile.makedirs(path.rsplit("/", 1)[0])
    write_bytes(path, b"")  # TFRecordWriter does not write to all file systems by itself
    with tf.io.TFRecordWriter(path) as writer:
        for signature, inputs in itertools.islice(_requests(scorer, values), requests):
            writer.write(prediction_log(signature, inputs))


def prediction_log(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """Returns a serialized `tensorflow.serving.PredictionLog` of one request.

    Args:
        signature: string, name of the signature.
        inputs: dict from input name to array.

    Returns:
        Bytes.

    Example:
        >>> prediction_log("serve_ids", {})[:4]
        b'2\\x0f\\n\\r'
    """
    request = _field(1, _field(3, signature.encode()))
    for name in sorted(inputs):
        tensor = tf.make_tensor_proto(inputs[name]).SerializeToString(deterministic=True)
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """Returns a length-delimited field in the wire format of protocol buffers."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _values(data: str, field: Categorical) -> list[str]:
    if field.encoding == "vocabulary":
        with gfile.GFile(vocabulary_path(data, field.name), "rb") as file:
            lines = [file.readline() for _ in range(_VALUES)]
        texts = [line.decode().rpartition("\t")[0] for line in lines if line]
        return [text for text in texts[1:] if text] or [""]
    if field.encoding == "buckets":
        return [f"{boundary:g}" for boundary in field.boundaries[:_VALUES]]
    return [str(number) for number in range(1, _VALUES)]


def _requests(
    scorer: RawScorer, values: Mapping[str, list[str]]
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields the name of a signature and its inputs, without end."""
    for number in itertools.count():
        rows = _ROWS[number % len(_ROWS)]
        raw = _raw(scorer, values, number, rows)
        inputs = {scorer.inputs[name]: column for name, column in raw.items()}
        yield "serving_default", inputs
        yield "serve_examples", {"examples": _examples(scorer, raw, rows)}
        yield "serve_ids", _encoded(scorer, number, rows)
        if scorer.once is not None:
            user = {scorer.inputs[column.name] for column in scorer.once.user.schema.columns}
            yield "user_once", {n: x[:1] if n in user else x for n, x in inputs.items()}


def _raw(
    scorer: RawScorer, values: Mapping[str, list[str]], number: int, rows: int
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for field in scorer.schema.categorical:
        texts = itertools.islice(itertools.cycle(values[field.name]), number, None)
        # Two values where there may be several.
        several = min(field.length, 2)
        cells = [field.separator.join(itertools.islice(texts, several)) for _ in range(rows)]
        found[field.name] = np.array([text.encode() for text in cells], object)
    for column in scorer.schema.numeric:
        found[column.name] = np.full(rows, column.missing_value, np.float32)
    return found


def _examples(scorer: RawScorer, raw: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    separators = {
        field.name: field.separator.encode()
        for field in scorer.schema.categorical
        if field.length > 1
    }
    return np.array([_example(raw, row, separators) for row in range(rows)], object)


def _example(raw: Mapping[str, np.ndarray], row: int, separators: Mapping[str, bytes]) -> bytes:
    feature = {}
    for name, column in raw.items():
        if column.dtype != object:
            numbers = tf.train.FloatList(value=[column[row]])
            feature[name] = tf.train.Feature(float_list=numbers)
            continue
        separator = separators.get(name)
        texts = column[row].split(separator) if separator else [column[row]]
        feature[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def _encoded(scorer: RawScorer, number: int, rows: int) -> dict[str, np.ndarray]:
    schema, found = scorer.schema, {}
    if schema.categorical:
        sizes = np.repeat(
            [schema.field_sizes[f.name] for f in schema.categorical],
            [f.length for f in schema.categorical],
        )
        found["ids"] = ((number + np.arange(rows)[:, None]) % sizes).astype(np.int32)
    if schema.numeric:
        missing = [column.missing_value for column in schema.numeric]
        found["numeric"] = np.tile(np.array(missing, np.float32), (rows, 1))
    return found
