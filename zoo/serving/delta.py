"""Deltas between two exports: the rows of tables that changed, and other files that changed.

A delta is a folder with `delta.json`, which names every file of the new export with its SHA-256;
`files/`, the files that differ; and `rows.bin` and `ids.bin`, the changed rows of all tensors and
their numbers. `apply_delta` gives the files of the new export, byte by byte, and checks them.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from tf_helen.stores import gfile
from zoo.data.checksums import file_checksum
from zoo.data.files import DataError, join, read_json, write_json
from zoo.data.folders import files_of
from zoo.data.safe_paths import inside
from zoo.serving.model_card import FILE as CARD
from zoo.serving.replaceable import EXPORT, check_export_folder, replacing
from zoo.serving.tensor_places import TensorPlace, tensor_places

FILE = "delta.json"
VERSION = 2  # version 1 has no spans, and is still read
_INDEX = "variables/variables.index"
_DATA = "variables/variables.data-00000-of-00001"
_CHUNK = 1 << 24  # bytes that are compared at a time


@dataclasses.dataclass(frozen=True)
class DeltaSize:
    """The size of a delta.

    Attributes:
        rows: int, number of rows of all tensors.
        changed_rows: int, number of rows that the delta contains.
        bytes_export: int, size of the new export.
        bytes: int, size of the delta.
    """

    rows: int
    changed_rows: int
    bytes_export: int
    bytes: int


def write_delta(base: str, new: str, out: str) -> DeltaSize:
    """Writes the difference between two exports.

    Args:
        base: string, folder of the earlier export.
        new: string, folder of the new one.
        out: string, folder to write, completely or not at all; replaces an existing delta.

    Returns:
        `DeltaSize`.

    Raises:
        DataError: if a folder is no export, or `out` holds anything other than a delta.

    Example:
        >>> write_delta("served/1", "served/2", "delta")  # doctest: +SKIP
    """
    for folder in (base, new):
        check_export_folder(folder)
    with replacing(out, FILE, "a delta") as partial:
        return _write(base, new, partial)


def _write(base: str, new: str, partial: str) -> DeltaSize:
    before, after = _checksums(base), _checksums(new)
    gfile.makedirs(partial)
    content: dict[str, Any] = {"version": VERSION, "files": after, "base": before}
    rows = changed = 0
    for name, checksum in after.items():
        if before.get(name) == checksum:
            continue
        if name == _DATA and name in before:
            content["tensors"] = _write_rows(base, new, partial)
            rows = sum(tensor["rows"] for tensor in content["tensors"])
            changed = sum(tensor["changed"] for tensor in content["tensors"])
        else:
            _copy(join(new, name), join(partial, "files", name))
    write_json(join(partial, FILE), content)
    sizes = (
        sum(_size(join(folder, name)) for name in files_of(folder)) for folder in (new, partial)
    )
    return DeltaSize(rows, changed, *sizes)


def _write_rows(base: str, new: str, partial: str) -> list[dict[str, Any]]:
    earlier = {place.key: place for place in tensor_places(join(base, _INDEX))}
    sizes = _field_sizes(base), _field_sizes(new)
    tensors = []
    with (
        _open(join(base, _DATA)) as old,
        _open(join(new, _DATA)) as now,
        _open(join(partial, "rows.bin"), "wb") as values,
        _open(join(partial, "ids.bin"), "wb") as ids,
    ):
        for place in _contiguous(join(new, _INDEX), _size(join(new, _DATA))):
            known = _comparable(place, earlier.get(place.key))
            changed, spans = 0, [] if known is None else _spans(known.rows, place.rows, *sizes)
            for first, block in _blocks(now, place):
                rows, differs = np.arange(first, first + len(block)), np.ones(len(block), bool)
                for mine, start in _within(spans, first, len(block)):
                    assert known is not None  # or there are no spans
                    same = _read(old, known, start, mine.stop - mine.start)
                    differs[mine] = (block[mine] != same).any(axis=1)
                rows, block = rows[differs], block[differs]
                ids.write(rows.astype("<i8").tobytes())
                values.write(block.tobytes())
                changed += len(rows)
            tensors.append(
                {
                    "key": place.key,
                    "rows": place.rows,
                    "row_bytes": place.row_bytes,
                    "changed": changed,
                    "base_rows": 0 if known is None else known.rows,
                    "base_offset": 0 if known is None else known.offset,
                    # Without it, rows have their place in both.
                    **({"spans": spans} if len(spans) > 1 else {}),
                }
            )
    return tensors


def apply_delta(base: str, delta: str, out: str) -> str:
    """Writes the new export that a delta describes.

    Args:
        base: string, folder of the earlier export.
        delta: string, folder that `write_delta` wrote.
        out: string, folder to write, completely or not at all; replaces an existing SavedModel.
            It may be `base`.

    Returns:
        `out`.

    Raises:
        DataError: if `base` is not the export that the delta was made with, a file is damaged, or
            `out` holds anything other than a SavedModel.

    Example:
        >>> apply_delta("served/1", "delta", "served/2")  # doctest: +SKIP
    """
    content = _load(delta)
    check_export_folder(base)
    with replacing(out, EXPORT, "a SavedModel") as partial:
        found = _checksums(base)
        for name, checksum in content["base"].items():
            if found.get(name) != checksum:
                raise DataError(
                    f"{join(base, name)} is not the file that {delta} was made with; name the "
                    "export that was given to launch.export --since"
                )
        _apply(base, delta, partial, content)
    return out


def _apply(base: str, delta: str, partial: str, content: dict[str, Any]) -> None:
    for name, checksum in content["files"].items():
        path, own = join(partial, name), join(delta, "files", name)
        if gfile.exists(own):
            _copy(own, path)
        elif name == _DATA and "tensors" in content:
            _join_rows(base, delta, path, content["tensors"])
        else:
            _copy(join(base, name), path)
        if file_checksum(path) != checksum:
            raise DataError(f"{delta} is damaged: {name} gets a wrong checksum; write it again")


def _join_rows(base: str, delta: str, path: str, tensors: list[dict[str, Any]]) -> None:
    gfile.makedirs(posixpath.dirname(path))
    with (
        _open(join(base, _DATA)) as old,
        _open(join(delta, "rows.bin")) as values,
        _open(join(delta, "ids.bin")) as ids,
        _open(path, "wb") as file,
    ):
        for tensor in tensors:
            width, changed = tensor["row_bytes"], tensor["changed"]
            numbers = np.frombuffer(_exactly(ids, 8 * changed), "<i8")
            earlier = TensorPlace("", 0, tensor["base_rows"], width, tensor["base_offset"])
            step = max(_CHUNK // max(width, 1), 1)
            common = min(tensor["rows"], earlier.rows)
            spans = tensor.get("spans", [[0, 0, common]])
            for first in range(0, tensor["rows"], step):
                last = min(first + step, tensor["rows"])
                block = np.zeros((last - first, width), np.uint8)
                for mine, start in _within(spans, first, last - first):
                    block[mine] = _read(old, earlier, start, mine.stop - mine.start)
                start, stop = np.searchsorted(numbers, [first, last])
                new = np.frombuffer(_exactly(values, int(stop - start) * width), np.uint8)
                block[numbers[start:stop] - first] = new.reshape(-1, width)
                file.write(block.tobytes())


def _load(delta: str) -> dict[str, Any]:
    path = join(delta, FILE)
    if not gfile.exists(path):
        raise DataError(f"no delta in {delta}; write one with launch.export --since=EXPORT")
    try:
        content = read_json(path)
        if content["version"] not in range(1, VERSION + 1):
            raise ValueError(f"version {content['version']!r}")
        for name in (*content["files"], *content["base"]):
            inside(join(delta, "files"), name, path)
        return content
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error!r}); write the delta again") from None


def _field_sizes(folder: str) -> list[int]:
    """Returns the number of ids of each field that has own rows, or [] if it is not known."""
    path = join(folder, CARD)
    if not gfile.exists(path):
        return []
    try:
        fields = read_json(path)["schema"]["categorical"]
        return [int(field["size"]) for field in fields if field.get("shares") is None]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error!r}); export the model again") from None


def _spans(before: int, now: int, old: list[int], new: list[int]) -> list[list[int]]:
    """Returns which rows of a tensor have an earlier row, as (first row, earlier row, number).

    Fields follow each other in a table, so if the vocabulary of one has grown, the rows of the next
    ones begin later.
    """
    if len(old) != len(new) or (sum(old), sum(new)) != (before, now):
        return [[0, 0, min(before, now)]]
    starts = [np.cumsum([0, *sizes])[:-1].tolist() for sizes in (new, old)]
    found: list[list[int]] = []
    for first, earlier, size, other in zip(*starts, new, old, strict=True):
        count = min(size, other)
        if found and [first, earlier] == [sum(found[-1][::2]), sum(found[-1][1:])]:
            found[-1][2] += count
        else:
            found.append([first, earlier, count])
    return found


def _within(spans: list[list[int]], first: int, rows: int) -> Iterator[tuple[slice, int]]:
    """Yields the parts of a block of rows that have earlier rows, and the first of these."""
    for start, earlier, count in spans:
        low, high = max(start, first), min(start + count, first + rows)
        if low < high:
            yield slice(low - first, high - first), earlier + low - start


def _comparable(place: TensorPlace, earlier: TensorPlace | None) -> TensorPlace | None:
    """Returns the earlier tensor if its rows have the same form."""
    if earlier is None or not place.row_bytes:
        return None
    same = (earlier.dtype, earlier.row_bytes) == (place.dtype, place.row_bytes)
    return earlier if same else None


def _contiguous(index: str, size: int) -> list[TensorPlace]:
    places, end = tensor_places(index), 0
    places = [place for place in places if place.size]
    for place in places:
        if place.offset != end:
            raise DataError(f"{index}: {place.key} does not follow the tensor before it")
        end += place.size
    if end != size:
        raise DataError(f"{index} describes {end} bytes of {size}; export the model again")
    return places


def _blocks(file: IO[bytes], place: TensorPlace) -> Iterator[tuple[int, np.ndarray]]:
    step = max(_CHUNK // max(place.row_bytes, 1), 1)
    for first in range(0, place.rows, step):
        yield first, _read(file, place, first, min(step, place.rows - first))


def _read(file: IO[bytes], place: TensorPlace, first: int, rows: int) -> np.ndarray:
    file.seek(place.offset + first * place.row_bytes)
    content = _exactly(file, rows * place.row_bytes)
    return np.frombuffer(content, np.uint8).reshape(rows, place.row_bytes)


def _exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise DataError(f"{file.name} is too short; write the delta again")
    return content


def _open(path: str, mode: str = "rb") -> IO[bytes]:
    return gfile.GFile(path, mode)


def _checksums(folder: str) -> dict[str, str]:
    return {name: file_checksum(join(folder, name)) for name in files_of(folder)}


def _size(path: str) -> int:
    return gfile.stat(path).length


def _copy(source: str, target: str) -> None:
    gfile.makedirs(posixpath.dirname(target))
    gfile.copy(source, target, overwrite=True)
