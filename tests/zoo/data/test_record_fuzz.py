"""Record files changed at random: no crash, no damaged row is read, all rows are counted."""

import json
import random
import re
import tempfile
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from record_rows import SCHEMA, collect, make_rows, write_records

from zoo import DataError, Ledger, SchemaMismatchError, read_tfrecords, write_tfrecords
from zoo.data.ledger import Damage
from zoo.data.record_file import walk

ROWS = 12
WALKED, READ, CONTENTS = 10_000, 110, 300  # mutations; READ for each compression


def mutate(content: bytes, dice: random.Random) -> bytes:
    """Changes a file in one of the ways in which disks, networks and programs do."""
    a, b = sorted(dice.randrange(len(content) + 1) for _ in range(2))
    b = min(b, a + dice.choice([1, 4, 40, len(content)]))
    kind = dice.randrange(8)
    if kind == 0:  # bits flipped
        changed = bytearray(content)
        for _ in range(dice.choice([1, 1, 2, 10])):
            changed[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        return bytes(changed)
    if kind == 1:
        return content[:a] + content[b:]
    if kind == 2:
        return content[:a] + dice.randbytes(dice.choice([1, 3, 16, 300])) + content[a:]
    if kind == 3:
        return content[:a] + bytes(b - a) + content[b:]
    if kind == 4:
        return content[:b] + content[a:]  # a run stands twice
    if kind == 5:
        return content[:a]
    if kind == 6:  # overwritten by another run of the file
        start = dice.randrange(len(content))
        run = content[start : start + b - a]
        return content[:a] + run + content[a + len(run) :]
    middle = (a + b) // 2  # two ranges swapped
    return content[:a] + content[middle:b] + content[a:middle] + content[b:]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A small data folder and its single file."""
    folder = tmp_path_factory.mktemp("sound")
    split = write_tfrecords(folder, SCHEMA, "train", [make_rows(ROWS)], layout="packed")
    return folder, (folder / split.files[0]).read_bytes()


def test_ten_thousand_mutations_of_a_file(sound):
    _, content = sound
    frames = Counter(content[start : start + size] for start, size in walk(content))
    assert sum(frames.values()) == ROWS
    for seed in range(WALKED):
        changed = mutate(content, random.Random(seed))
        position, damaged, good = 0, set(), Counter()
        for found in walk(changed):
            if isinstance(found, Damage):
                damaged.add(found.offset)
                continue
            start, size = found
            # No byte is left out in silence, and none belongs to two records.
            assert start == position or position in damaged, seed
            assert start >= position, seed
            good[changed[start : start + size]] += 1
            position = start + size
        assert position == len(changed) or position in damaged, seed
        assert set(good) <= set(frames), f"seed {seed}: a wrong record was taken for a good one"


def promise(folder, names: list[str], compression: str, layout: str = "packed", rows: int = ROWS):
    """Writes a manifest with the given number of rows of each file."""
    SCHEMA.save(folder)
    entry = {"rows": rows * len(names), "positives": 0, "compression": compression}
    entry |= {"layout": layout, "files": [{"file": name, "rows": rows} for name in names]}
    (folder / "manifest.json").write_text(json.dumps({"version": 2, "splits": {"train": entry}}))


@pytest.mark.parametrize(
    ("layout", "compression"),
    [("packed", ""), ("packed", "GZIP"), ("blocks", ""), ("blocks", "GZIP")],
)
def test_what_is_read_of_mutated_files(tmp_path, monkeypatch, layout, compression):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # copies of the good records
    rows = make_rows(ROWS)
    size = 3 if layout == "blocks" else None
    write_tfrecords(
        tmp_path / "sound", SCHEMA, "train", [rows], 1, compression, layout, block_rows=size
    )
    content = next((tmp_path / "sound").glob("train-*")).read_bytes()
    names = [f"{seed:05d}.tfrecord" for seed in range(READ)]
    promise(tmp_path, names, compression, layout)
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(mutate(content, random.Random(seed)))
    while True:
        ledger = Ledger()
        try:
            data = read_tfrecords(tmp_path, "train", ledger=ledger, max_lost=1.0)
            break
        except DataError as error:  # a run of records that stands twice
            refused = re.search(r"(\d+\.tfrecord) holds \d+ rows, its manifest says 12", str(error))
            names.remove(refused[1])
            promise(tmp_path, names, compression, layout)
    assert len(names) > READ * 0.8
    known = list(zip(*(rows[key].tolist() for key in ("ids", "numeric", "label")), strict=True))
    read = collect(data)
    found = list(zip(*(read[key].tolist() for key in ("ids", "numeric", "label")), strict=True))
    assert all(row in known for row in found)
    accounts = ledger.files.values()
    assert [account.read + account.lost for account in accounts] == [ROWS] * len(names)
    assert all(account.damages for account in accounts if account.lost)
    assert ledger.total_read == len(found) and READ < ledger.total_lost < 11 * READ


@pytest.mark.parametrize("layout", ["packed", "columns", "blocks"])
def test_sound_frames_with_mutated_contents(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    size = 1 if layout == "blocks" else None
    write_tfrecords(
        tmp_path / "sound", SCHEMA, "train", [make_rows(ROWS)], layout=layout, block_rows=size
    )
    source = tf.data.TFRecordDataset(str(next((tmp_path / "sound").glob("train-*"))))
    originals = list(source.as_numpy_iterator())
    records = [mutate(originals[seed % ROWS], random.Random(seed)) for seed in range(CONTENTS)]
    promise(tmp_path, ["a.tfrecord"], "", layout, CONTENTS)
    write_records(tmp_path / "a.tfrecord", records)
    with pytest.raises(SchemaMismatchError, match="do not belong together"):
        read_tfrecords(tmp_path, "train")
    ledger = Ledger()
    read = 0
    for features, label in read_tfrecords(tmp_path, "train", ledger=ledger, max_lost=1.0):
        ids, numeric, label = features["ids"].numpy(), features["numeric"].numpy(), label.numpy()
        assert ((ids >= [0, -1, -1, -1]) & (ids < [100_000, 300, 300, 300])).all()
        assert np.isfinite(numeric).all() and ((label >= 0) & (label <= 1)).all()
        read += len(label)
    assert 0 < read == ledger.total_read < CONTENTS
    assert read + ledger.total_lost == CONTENTS
    (account,) = ledger.files.values()
    assert len(account.damages) == account.lost
    assert all(damage.misfit and damage.reason for damage in account.damages)
