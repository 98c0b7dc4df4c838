"""Scores raw rows with an exported model, with NumPy and ONNX Runtime only.

    python -m launch.to_onnx --saved_model=served/frappe/1 --out=frappe.onnx
    python score_onnx.py frappe.onnx rows.csv

The first command also writes `frappe.encoding.json`, which says how text becomes ids. `Encoder`
reads it; a client in another language does the same. rows.csv has a header with the names of the
columns; others are ignored. Several values of a field are one text, joined by its separator. The
program prints a probability per row.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Unicode's White_Space, which is less than what `str.strip` removes.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
SMALLEST = 2.0**-126  # smaller numbers count as 0


class Encoder:
    """Encodes raw rows as the inputs `ids` and `numeric` of the ONNX model.

    Args:
        table: dict, the content of `encoding.json`.

    Example:
        >>> field = {"name": "user", "encoding": "vocabulary", "length": 1, "missing": "oov"}
        >>> table = {"fields": [{**field, "vocabulary": ["<oov>", "ann"]}], "numbers": []}
        >>> Encoder(table).encode([{"user": "ann"}, {"user": "bob"}])["ids"].tolist()
        [[1], [0]]
    """

    def __init__(self, table: Mapping[str, Any]):
        self.fields: list[dict[str, Any]] = table["fields"]
        self.numbers: list[str] = table["numbers"]
        self.places = {
            field["name"]: {text: place for place, text in enumerate(field["vocabulary"])}
            for field in self.fields
            if "vocabulary" in field
        }

    def encode(self, rows: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
        """Encodes rows.

        Args:
            rows: dicts from column to text; "" is missing.

        Returns:
            `{"ids": int32 [B, W], "numeric": float32 [B, N]}`; only those that the model has.
        """
        found: dict[str, np.ndarray] = {}
        if self.fields:
            ids = [[i for f in self.fields for i in self.field(f, row[f["name"]])] for row in rows]
            width = sum(field["length"] for field in self.fields)
            found["ids"] = np.array(ids, np.int32).reshape(len(rows), width)
        if self.numbers:
            values = [[number(row[name]) for name in self.numbers] for row in rows]
            numbers = np.array([[math.nan if x is None else x for x in row] for row in values])
            with np.errstate(over="ignore"):  # the model counts an infinite number as missing
                numeric = numbers.reshape(len(rows), len(self.numbers)).astype(np.float32)
            found["numeric"] = numeric
        return found

    def field(self, field: Mapping[str, Any], text: str) -> list[int]:
        """Returns the ids of a field, padded with -1 if it takes several values."""
        if field["length"] == 1:
            return [self.value(field, text)]
        values = [value for value in text.split(field["separator"]) if value][: field["length"]]
        ids = [self.value(field, value) for value in values]
        return ids + [-1] * (field["length"] - len(ids))

    def value(self, field: Mapping[str, Any], text: str) -> int:
        """Returns the id of one value."""
        text = re.sub(r"[\t\n\r]", " ", text)
        if field["encoding"] == "hash":
            first = 2 if field["missing"] == "bucket" else 1
            if not text:
                return first - 1
            return first + fingerprint64(text.encode()) % (field["size"] - first)
        if field["encoding"] == "buckets":
            value = number(text)
            bounds = field["boundaries"]
            return 0 if value is None else 1 + sum(flush(bound) <= value for bound in bounds)
        if field["encoding"] == "log_square":
            value = number(text)
            text = "" if value is None else str(log_square(value))
        return self.places[field["name"]].get(text, 0)


def number(text: str) -> float | None:
    """Reads a number; `None` for other texts, and for numbers too large for a double."""
    text = text.strip(SPACE)
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    return flush(value) if math.isfinite(value) else None


def flush(value: float) -> float:
    """Returns 0 for numbers that are not normal in single precision."""
    return value if abs(value) >= SMALLEST else 0.0


def log_square(value: float) -> int:
    """Returns `floor(log(x)^2)` if x > 2, else x without its fraction."""
    if value > 2:
        return math.floor(math.log(value) ** 2)
    return math.trunc(max(value, -(2.0**53)))


# FarmHash's Fingerprint64 (Geoff Pike, Jyrki Alakuijala, github.com/google/farmhash, MIT license).

MASK = 2**64 - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def fingerprint64(data: bytes) -> int:
    """Computes FarmHash's Fingerprint64, an unsigned integer of 64 bits.

    Args:
        data: bytes of any length.

    Returns:
        The hash.

    Example:
        >>> fingerprint64(b"ann")
        17250439303445958516
    """
    size = len(data)
    if size <= 16:
        return _short(data)
    if size <= 32:
        return _of_32(data)
    if size <= 64:
        return _of_64(data)
    return _long(data)


def _word(data: bytes, start: int, size: int = 8) -> int:
    return int.from_bytes(data[start : start + size], "little")


def _rotate(value: int, bits: int) -> int:
    value &= MASK
    return (value >> bits | value << (64 - bits)) & MASK


def _mix(value: int) -> int:
    value &= MASK
    return value ^ value >> 47


def _pair(one: int, other: int, factor: int) -> int:
    one = _mix((one ^ other) * factor)
    return _mix(((other & MASK) ^ one) * factor) * factor & MASK


def _short(data: bytes) -> int:
    size = len(data)
    factor = K2 + size * 2
    if size >= 8:
        a, b = _word(data, 0) + K2, _word(data, size - 8)
        c = _rotate(b, 37) * factor + a
        d = (_rotate(a, 25) + b) * factor
        return _pair(c & MASK, d & MASK, factor)
    if size >= 4:
        return _pair(size + (_word(data, 0, 4) << 3), _word(data, size - 4, 4), factor)
    if not size:
        return K2
    y = data[0] + (data[size >> 1] << 8)
    z = size + (data[-1] << 2)
    return _mix(y * K2 & MASK ^ z * K0 & MASK) * K2 & MASK


def _of_32(data: bytes) -> int:
    size = len(data)
    factor = K2 + size * 2
    a, b = _word(data, 0) * K1, _word(data, 8)
    c, d = _word(data, size - 8) * factor, _word(data, size - 16) * K2
    first = _rotate(a + b, 43) + _rotate(c, 30) + d
    return _pair(first & MASK, a + _rotate(b + K2, 18) + c & MASK, factor)


def _of_64(data: bytes) -> int:
    size = len(data)
    factor = K2 + size * 2
    a, b = _word(data, 0) * K2, _word(data, 8)
    c, d = _word(data, size - 8) * factor, _word(data, size - 16) * K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d & MASK
    z = _pair(y, a + _rotate(b + K2, 18) + c & MASK, factor)
    e, f = _word(data, 16) * factor, _word(data, 24)
    g, h = (y + _word(data, size - 32)) * factor, (z + _word(data, size - 24)) * factor
    first = _rotate(e + f, 43) + _rotate(g, 30) + h
    return _pair(first & MASK, e + _rotate(f + a, 18) + g & MASK, factor)


def _weak(data: bytes, start: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_word(data, start + 8 * place) for place in range(4))
    a += w
    b = _rotate(b + a + z, 21)
    c = a
    a += x + y
    b += _rotate(a, 44)
    return (a + z) & MASK, (b + c) & MASK


def _long(data: bytes) -> int:
    size = len(data)
    x, y = 81, (81 * K1 + 113) & MASK
    z = _mix(y * K2 + 113) * K2 & MASK
    v, w = (0, 0), (0, 0)
    x = (x * K2 + _word(data, 0)) & MASK
    last = (size - 1) // 64 * 64
    for start in range(0, last, 64):
        x = _rotate(x + y + v[0] + _word(data, start + 8), 37) * K1 & MASK
        y = _rotate(y + v[1] + _word(data, start + 48), 42) * K1 & MASK
        x ^= w[1]
        y = y + v[0] + _word(data, start + 40) & MASK
        z = _rotate(z + w[0], 33) * K1 & MASK
        v = _weak(data, start, v[1] * K1, x + w[0])
        w = _weak(data, start + 32, z + w[1], y + _word(data, start + 16))
        z, x = x, z
    factor = K1 + ((z & 0xFF) << 1)
    start = last + ((size - 1) & 63) - 63
    w = (w[0] + ((size - 1) & 63) & MASK, w[1])
    v = (v[0] + w[0] & MASK, v[1])
    w = (w[0] + v[0] & MASK, w[1])
    x = _rotate(x + y + v[0] + _word(data, start + 8), 37) * factor & MASK
    y = _rotate(y + v[1] + _word(data, start + 48), 42) * factor & MASK
    x ^= w[1] * 9 & MASK
    y = y + v[0] * 9 + _word(data, start + 40) & MASK
    z = _rotate(z + w[0], 33) * factor & MASK
    v = _weak(data, start, v[1] * factor, x + w[0])
    w = _weak(data, start + 32, z + w[1], y + _word(data, start + 16))
    z, x = x, z
    one = _pair(v[0], w[0], factor) + _mix(y) * K0 + z
    other = _pair(v[1], w[1], factor) + x
    return _pair(one & MASK, other & MASK, factor)


def main() -> None:
    """Scores the rows of a CSV file; see the top of this file."""
    import onnxruntime

    model, path = sys.argv[1:]
    with open(f"{model.removesuffix('.onnx')}.encoding.json", encoding="utf-8") as file:
        encoder = Encoder(json.load(file))
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["probability"], encoder.encode(rows))
    for score in scores.tolist():
        print(f"{score:.9g}")


if __name__ == "__main__":
    main()
