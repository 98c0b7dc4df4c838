"""A delta and the earlier export give the bytes of the new one."""

import json
from pathlib import Path

import numpy as np
import pytest
import served
import tensorflow as tf

from zoo.data.files import DataError
from zoo.serving import delta as deltas
from zoo.serving.delta import apply_delta, write_delta
from zoo.serving.export import export_saved_model
from zoo.serving.tensor_places import tensor_places


def content(folder):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write_like_an_export(folder, tensors, **files):
    """Tensors in the format of a SavedModel's variables, and other files."""
    folder = Path(folder)
    (folder / "variables").mkdir(parents=True)
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "variables/variables"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name]) for name in names],
    )
    for name, text in {"saved_model.pb": "graph", **files}.items():
        (folder / name).write_text(text)
    return str(folder)


def tensors(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "table": rng.normal(size=(1000, 4)).astype(np.float32),
        "levels": rng.integers(-9, 9, (300, 5)).astype(np.int8),
        "bias": rng.normal(size=(3,)).astype(np.float32),
        "step": np.int64(seed),
        "empty": np.zeros((0, 4), np.float32),
        "text": np.array([b"a", b"some text"], object),
        **{f"layer_{i}": rng.normal(size=(2, 2)).astype(np.float32) for i in range(40)},
    }


def test_places_are_those_of_the_tensors(tmp_path):
    written = tensors()
    folder = write_like_an_export(tmp_path / "export", written)
    data = Path(folder, "variables/variables.data-00000-of-00001").read_bytes()
    places = tensor_places(f"{folder}/variables/variables.index")
    assert {place.key for place in places} == set(written)
    assert sum(place.size for place in places) == len(data)
    for place in places:
        if place.key != "text":
            expected = np.asarray(written[place.key]).tobytes()
            assert data[place.offset : place.offset + place.size] == expected


@pytest.mark.parametrize("chunk", [1 << 24, 64])
def test_only_rows_that_differ_are_written(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(deltas, "_CHUNK", chunk)
    before, after = tensors(), tensors()
    after["table"][[3, 500, 999]] += 1
    after["levels"][7, 2] += 1
    after["bias"][0] = 5
    base = write_like_an_export(tmp_path / "base", before, same="s", gone="g", changed="c")
    new = write_like_an_export(tmp_path / "new", after, same="s", changed="d", added="a")
    size = write_delta(base, new, str(tmp_path / "delta"))
    assert size.changed_rows == 5 and size.rows == 1000 + 300 + 3 + 1 + 1 + 80
    assert size.bytes < size.bytes_export / 2
    assert (tmp_path / "delta/rows.bin").stat().st_size == 3 * 16 + 5 + 4
    assert not (tmp_path / "delta/files/same").exists()
    out = apply_delta(base, str(tmp_path / "delta"), str(tmp_path / "out"))
    assert content(out) == content(new)
    apply_delta(base, str(tmp_path / "delta"), base)  # in place
    assert content(base) == content(new)
    assert {p.name for p in tmp_path.iterdir()} == {"base", "new", "delta", "out"}


def test_tables_that_grow_shrink_or_appear(tmp_path, monkeypatch):
    monkeypatch.setattr(deltas, "_CHUNK", 64)
    before, after = tensors(), tensors()
    more = np.ones((7, 4), np.float32)
    after["table"] = np.concatenate([before["table"], more])
    after["levels"] = before["levels"][:250]
    after["bias"] = before["bias"].astype(np.float64)
    after["new"] = np.ones((3, 2), np.float32)
    del after["layer_3"]
    base = write_like_an_export(tmp_path / "base", before)
    new = write_like_an_export(tmp_path / "new", after)
    size = write_delta(base, new, str(tmp_path / "delta"))
    assert size.changed_rows == 7 + 3 + 3
    assert content(apply_delta(base, str(tmp_path / "delta"), str(tmp_path / "out"))) == content(
        new
    )


@pytest.mark.parametrize("chunk", [64, 1 << 24])
def test_rows_are_compared_by_field(tmp_path, monkeypatch, chunk):
    """A field that grows moves the rows of those after it."""
    monkeypatch.setattr(deltas, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 4)).astype(np.float32)
    sizes, later = {"user": 10, "item": 15, "place": 5}, {"user": 13, "item": 15, "place": 6}
    new = rng.normal(size=(4, 4)).astype(np.float32)
    grown = np.concatenate([rows[:10], new[:3], rows[10:30], new[3:]])
    grown[20] += 1

    def card(known):
        fields = [{"name": name, "size": size} for name, size in known.items()]
        fields.append({"name": "past", "size": known["item"], "shares": "item"})
        return json.dumps({"schema": {"categorical": fields}})

    tables = {"table": rows, "bias": rows[:3]}
    base = write_like_an_export(tmp_path / "base", tables, **{"model_card.json": card(sizes)})
    tables = {"table": grown, "bias": rows[:3]}
    target = write_like_an_export(tmp_path / "new", tables, **{"model_card.json": card(later)})
    size = write_delta(base, target, str(tmp_path / "delta"))
    assert size.changed_rows == 5
    apply_delta(base, str(tmp_path / "delta"), str(tmp_path / "again"))
    assert content(tmp_path / "again") == content(target)


def test_equal_exports_have_an_empty_delta(tmp_path):
    base = write_like_an_export(tmp_path / "base", tensors())
    size = write_delta(base, base, str(tmp_path / "delta"))
    assert size.changed_rows == 0
    assert {path.name for path in (tmp_path / "delta").iterdir()} == {"delta.json"}
    assert content(apply_delta(base, str(tmp_path / "delta"), str(tmp_path / "out"))) == content(
        base
    )


@pytest.fixture
def pair(tmp_path):
    base = write_like_an_export(tmp_path / "base", tensors())
    new = write_like_an_export(tmp_path / "new", tensors(1))
    write_delta(base, new, str(tmp_path / "delta"))
    return tmp_path, base


def test_another_base_is_refused(pair):
    folder, base = pair
    Path(base, "saved_model.pb").write_text("another graph")
    with pytest.raises(DataError, match=r"base/saved_model\.pb is not the file that .* --since"):
        apply_delta(base, str(folder / "delta"), str(folder / "out"))
    assert not (folder / "out").exists()


def test_a_damaged_delta_is_refused(pair):
    folder, base = pair
    rows = folder / "delta/rows.bin"
    rows.write_bytes(rows.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(DataError, match=r"damaged: variables/variables\.data.* wrong checksum"):
        apply_delta(base, str(folder / "delta"), str(folder / "out"))
    rows.write_bytes(rows.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"rows\.bin is too short"):
        apply_delta(base, str(folder / "delta"), str(folder / "out"))
    assert not (folder / "out").exists()


@pytest.mark.parametrize("change", [{"version": 3}, {"files": {"../x": "0"}}, {"files": 3}])
def test_a_damaged_description_is_refused(pair, change):
    folder, base = pair
    path = folder / "delta/delta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=r"delta\.json is damaged"):
        apply_delta(base, str(folder / "delta"), str(folder / "out"))


def test_a_damaged_index_is_refused(pair):
    folder, base = pair
    index = Path(base, "variables/variables.index")
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"variables\.index is damaged \(not a table\)"):
        write_delta(base, str(folder / "new"), str(folder / "again"))
    assert not (folder / "again").exists()


def test_folders_of_something_else_are_refused(pair, tmp_path):
    folder, base = pair
    with pytest.raises(DataError, match="no SavedModel in"):
        write_delta(str(folder / "absent"), base, str(folder / "out"))
    with pytest.raises(DataError, match="no delta in"):
        apply_delta(base, str(folder / "new"), str(folder / "out"))
    with pytest.raises(DataError, match="base holds files other than a delta"):
        write_delta(base, str(folder / "new"), base)
    with pytest.raises(DataError, match="delta holds files other than a SavedModel"):
        apply_delta(base, str(folder / "delta"), str(folder / "delta"))


def test_a_real_export_after_some_rows_changed(exported, tmp_path):
    model = served.model()
    table = next(iter(model.embedding.tables.values()))
    rows = table.embeddings.numpy()
    rows[[1, 6]] += 0.5
    table.set_weights([rows])
    folder = exported.removesuffix("/out")
    new = export_saved_model(model, folder, str(tmp_path / "new"), user=served.USER_COLUMNS)
    size = write_delta(exported, new, str(tmp_path / "delta"))
    assert size.changed_rows == 2
    out = apply_delta(exported, str(tmp_path / "delta"), str(tmp_path / "out"))
    assert content(out) == content(new)
    serve = tf.saved_model.load(out).signatures["serving_default"]
    changed = serve(**served.raw())["logit"].numpy()
    logits = tf.saved_model.load(exported).signatures["serving_default"](**served.raw())["logit"]
    assert (changed != logits.numpy()).tolist()[:2] == [True, False]
