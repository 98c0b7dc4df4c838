"""Data folders and checkpoints in S3: a real server on loopback, and requests that fail.

Needs the packages of the extra s3 and moto: `make test-s3`.
"""

import glob
import json
import os
import signal
import subprocess
import sys
import time

import commands
import numpy as np
import pytest
import tensorflow as tf
from s3_server import ACCESS, BUCKET, require_credentials, s3_server

import zoo
from tf_helen.stores import gfile
from tf_helen.stores.options import set_store_options, store_options
from zoo.data.files import DataError

pytest.importorskip("s3fs", reason="NOT TESTED: s3fs is absent; run make test-s3")
pytest.importorskip("moto", reason="NOT TESTED: moto is absent; run make test-s3")
fsspec = pytest.importorskip("fsspec")

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 900)], [zoo.Numeric("x")])
ROWS = 20_000
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))


@pytest.fixture(scope="module")
def server():
    from fsspec.config import conf

    before = dict(conf)
    with s3_server() as (address, faults):
        conf["s3"] = {"endpoint_url": address, **ACCESS}
        system = fsspec.filesystem("s3")
        system.mkdir(BUCKET)
        yield address, faults
    conf.clear()
    conf.update(before)


@pytest.fixture(autouse=True)
def options(tmp_path):
    before = store_options()
    set_store_options(
        cache_dir=str(tmp_path / "cache"), first_wait=0.01, longest_wait=0.05, timeout=2.0,
        attempts=4, cache_bytes=1 << 30,
    )  # fmt: skip
    yield
    set_store_options(
        first_wait=before.first_wait, longest_wait=before.longest_wait, timeout=before.timeout,
        attempts=before.attempts, cache_bytes=before.cache_bytes,
    )  # fmt: skip


@pytest.fixture
def faults(server):
    server[1].clear()
    yield server[1]
    server[1].clear()


@pytest.fixture
def folder(server, request):
    yield f"s3://{BUCKET}/{request.node.name.translate(str.maketrans('[]', '--'))}"


def rows_of(count=ROWS):
    rng = np.random.default_rng(0)
    return {
        "ids": rng.integers(0, 900, (count, 1)),
        "numeric": rng.normal(size=(count, 1)).astype(np.float32),
        "label": rng.integers(0, 2, count).astype(np.float32),
    }


def written(folder, **options):
    return zoo.write_tfrecords(folder, SCHEMA, "train", [rows_of()], shards=4, **options)


def numbers(data):
    return np.concatenate([features["numeric"] for features, *_ in data.as_numpy_iterator()])[:, 0]


def test_a_folder_is_written_and_read(folder, faults):
    written(folder)
    assert zoo.Schema.load(folder) == SCHEMA
    assert zoo.verify_files(folder) == 4
    np.testing.assert_array_equal(
        numbers(zoo.read_tfrecords(folder, "train")), rows_of()["numeric"][:, 0]
    )
    faults.clear()
    zoo.read_tfrecords(folder, "train")  # from the cache
    assert not [path for verb, path, _ in faults.requests if verb == "GET" and "-of-" in path]
    written(folder)  # in place of the first
    left = [name for name in gfile.listdir(folder) if name.startswith("train-")]
    assert len(left) == 4 and all(".v1." in name for name in left)


@pytest.mark.parametrize("shuffle", [False, True])
def test_reading_is_the_same_as_from_a_local_folder(folder, tmp_path, shuffle):
    local = str(tmp_path / "data")
    written(local)
    written(folder)
    how = {"batch_size": 256, "shuffle": shuffle and 4096, "seed": 3, "repeat": 2}
    expected = numbers(zoo.read_tfrecords(local, "train", **how))
    np.testing.assert_array_equal(numbers(zoo.read_tfrecords(folder, "train", **how)), expected)
    set_store_options(cache_bytes=150_000, cache_dir=str(tmp_path / "small"))  # of 240,000
    data = zoo.read_tfrecords(folder, "train", **how)
    np.testing.assert_array_equal(numbers(data), expected)
    staged = sum(os.path.getsize(path) for path in glob.glob(f"{tmp_path}/small/files/*"))
    assert 0 < staged <= 150_000
    later = zoo.read_tfrecords(folder, "train", **how, skip_batches=70)
    np.testing.assert_array_equal(numbers(later), expected[70 * 256 :])


@pytest.mark.parametrize("kind", ["break", "busy", "slow"])
def test_failed_reads_are_repeated(folder, faults, kind):
    written(folder)
    set_store_options(timeout=1.0)
    for name in ("00000-of", "00002-of", "manifest.json", "schema.json"):
        faults.add(kind, 1 if kind == "slow" else 2, name)
    read = numbers(zoo.read_tfrecords(folder, "train"))
    np.testing.assert_array_equal(read, rows_of()["numeric"][:, 0])


def test_what_fails_always_is_one_line(folder, faults):
    written(folder)
    faults.add("break", 99, "00002-of")
    with pytest.raises(tf.errors.UnavailableError) as caught:
        zoo.read_tfrecords(folder, "train")
    assert "00002-of-00004.tfrecord: 4 attempts failed" in caught.value.message
    assert "\n" not in caught.value.message
    assert not glob.glob(f"{store_options().cache_dir}/files/*00002*")


def test_a_missing_key_is_named(folder):
    split = written(folder)
    gfile.remove(f"{folder}/{split.files[1]}")
    with pytest.raises(DataError, match=r"1 of 4 files of split 'train' are missing, .*00001-of"):
        zoo.read_tfrecords(folder, "train")
    with pytest.raises(DataError, match="no data folder s3://"):
        zoo.read_tfrecords(f"{folder}-absent", "train")


def test_wrong_credentials_are_an_error(server, folder, faults):
    from fsspec.config import conf

    written(folder)
    require_credentials(server[0], True)
    before = conf["s3"]
    conf["s3"] = {**before, "key": "AKIAWRONG"}
    try:
        with pytest.raises(tf.errors.PermissionDeniedError, match="access denied") as caught:
            zoo.read_tfrecords(folder, "train")
        assert "check the credentials" in caught.value.message and "\n" not in str(caught.value)
    finally:
        conf["s3"] = before
        require_credentials(server[0], False)


def test_a_cache_that_is_too_small_is_an_error(folder):
    written(folder)
    set_store_options(cache_bytes=10_000)
    with pytest.raises(DataError, match=r"have up to .* bytes, .* may have 10,000; raise --cache_"):
        zoo.read_tfrecords(folder, "train")


def test_a_changed_file_is_found_by_its_checksum(folder, faults):
    split = written(folder)
    path = f"{folder}/{split.files[3]}"
    with gfile.GFile(path, "rb") as file:
        content = bytearray(file.read())
    content[1000] ^= 0xFF
    with gfile.GFile(path, "wb") as file:
        file.write(bytes(content))
    ledger = zoo.Ledger()
    data = zoo.read_tfrecords(folder, "train", ledger=ledger, max_lost=0.1)
    assert ledger.total_lost == 1024 and len(numbers(data)) == ROWS - 1024
    (account,) = [each for each in ledger.files.values() if each.lost]
    assert account.file == path
    with pytest.raises(DataError, match="rows are lost"):
        zoo.read_tfrecords(folder, "train")


def test_a_write_that_fails_leaves_the_old_folder(folder, faults):
    written(folder)
    faults.add("busy", 99, "00002-of", "PUT")
    with pytest.raises(tf.errors.UnavailableError, match="00002-of"):
        written(folder, compression="GZIP")
    faults.clear()
    assert len(numbers(zoo.read_tfrecords(folder, "train"))) == ROWS
    written(folder, compression="GZIP")
    assert len(numbers(zoo.read_tfrecords(folder, "train"))) == ROWS


KILLED = """
import sys
sys.path.insert(0, "tests/zoo/data"); sys.path.insert(0, "tests/support")
from fsspec.config import conf
conf["s3"] = {settings!r}
import numpy as np, zoo
schema = zoo.Schema("s", [zoo.Categorical("user", 900)], [zoo.Numeric("x")])
rng = np.random.default_rng(0)
rows = {{"ids": rng.integers(0, 900, (20000, 1)), "label": rng.integers(0, 2, 20000) * 1.0,
        "numeric": rng.normal(size=(20000, 1)).astype(np.float32)}}
print("ready", flush=True)
while True:
    zoo.write_tfrecords({folder!r}, schema, "train", [rows], shards=4)
"""


@pytest.mark.parametrize("seconds", [0.3, 1.1])
def test_a_killed_writer_leaves_a_whole_split(folder, server, seconds):
    written(folder)
    code = KILLED.format(settings={"endpoint_url": server[0], **ACCESS}, folder=folder)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ROOT},
    )  # fmt: skip
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    data = zoo.read_tfrecords(folder, "train")
    np.testing.assert_array_equal(numbers(data), rows_of()["numeric"][:, 0])
    written(folder)
    assert sorted(gfile.listdir(folder))[-4:] == list(
        zoo.data.manifest.load_manifest(folder)["train"].files
    )


COMMAND = """
import json, runpy, sys
from fsspec.config import conf
conf["s3"] = {settings!r}
sys.argv = {arguments!r}
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def test_every_command_works_in_a_bucket(server, folder, tmp_path):
    settings = {"endpoint_url": server[0], **ACCESS}

    def run(*arguments):
        flags = [*arguments, f"--cache_dir={tmp_path}/cache", "--cache_limit=1GiB"]
        done = commands.run("-c", COMMAND.format(settings=settings, arguments=flags))
        assert done.returncode == 0, done.stderr
        return done.stdout

    rng = np.random.default_rng(0)
    lines = [
        f"{int(u % 3 == 0)},u{u},{x:.3f}"
        for u, x in zip(rng.integers(0, 30, 900), rng.normal(size=900), strict=True)
    ]
    with gfile.GFile(f"{folder}/raw/rows.csv", "w") as file:
        file.write("\n".join(["click,user,x", *lines]) + "\n")
    raw, data, out = f"{folder}/raw/rows.csv", f"{folder}/data", f"{folder}/run"
    run("launch.prepare", "--infer", f"--source={raw}", f"--schema={folder}/schema.json",
        "--label=click")  # fmt: skip
    run("launch.prepare", f"--source={raw}", f"--schema={folder}/schema.json", f"--out={data}",
        "--shards=2")  # fmt: skip
    assert "report.json" in gfile.listdir(data)
    trains = ["launch.train", f"--data={data}", f"--out={out}", "--model=dnn"]
    run(*trains, "--epochs=1")
    run(*trains, "--epochs=2", "--resume")
    assert {"best.keras", "checkpoints", "curves.png", "saved_model"} <= set(gfile.listdir(out))
    run("launch.export", f"--run={out}", f"--data={data}", f"--out={folder}/served")
    run("launch.predict", f"--saved_model={folder}/served", f"--input={raw}",
        f"--output={folder}/scores.csv")  # fmt: skip
    with gfile.GFile(f"{folder}/scores.csv", "rb") as file:
        assert len(file.read().splitlines()) == 901
    run("launch.evaluate", f"--runs={out}", f"--data={data}", f"--out={folder}/scored")
    assert "evaluation.json" in gfile.listdir(f"{folder}/scored")
    run("launch.verify", f"--data={data}")
    hidden = [name for name in gfile.listdir(folder) if name.startswith(".")]
    assert not hidden, json.dumps(hidden)
