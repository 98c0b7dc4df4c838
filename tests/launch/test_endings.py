"""Ends of commands: one line, an exit code, and the files that are deleted."""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import pytest

from launch.cleaning import remove_comparison
from launch.compare import compare, parse_contenders
from launch.datasets import synthetic
from launch.datasets.raw import Options
from launch.demo import run_demo
from launch.export import export_run
from launch.predict import predict
from launch.prepare import prepare
from launch.run.config import RunConfig
from launch.run.history import load_history
from launch.run.training import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("prepared") / "data")
    prepare(synthetic.load(Options(rows=400)), folder)
    return folder


def config_for(data, out, **changes):
    small = {"embedding_dim": 2, "hidden_units": (4,)}
    given = {"model": "dnn", "model_args": small, "epochs": 1, "progress": False, **changes}
    return RunConfig(data, str(out), **given)


def start(*arguments, log) -> subprocess.Popen:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=log, env=environment
    )


def ending_of(code: str) -> tuple[int, list[str]]:
    """The exit code and the standard error's lines of a command whose main is `code`."""
    script = (
        f"import keras\nimport tensorflow as tf\nimport tf_helen\nfrom launch import cli\n{code}"
    )
    done = commands.run("-c", f"{script}\ncli.run(main)\n")
    return done.returncode, done.stderr.splitlines()


def test_ctrl_c_ends_in_one_line_and_the_run_can_be_resumed(data, tmp_path):
    # A test that itself runs in the background would hand down "ignore Ctrl-C".
    main = "import runpy, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    main += "runpy.run_module('launch.train', run_name='__main__')\n"
    out = tmp_path / "run"
    small = "--model_args=embedding_dim=2,hidden_units=(4,)"
    options = [f"--data={data}", f"--out={out}", "--model=dnn", small, "--epochs=100000"]
    with open(tmp_path / "log", "w+") as log:
        process = start("-c", main, *options, log=log)
        until = time.monotonic() + 120
        while not load_history(str(out)) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        log.seek(0)
        text = log.read()
    assert process.returncode == 130, text
    assert text.splitlines()[-1] == "interrupted; continue with --resume"
    assert "Traceback" not in text
    done = len(load_history(str(out)))
    resumed = train(config_for(data, out, epochs=done + 1, resume=True))
    assert len(resumed.epochs) == done + 1


def test_a_failed_assertion_of_a_graph_ends_in_its_own_words():
    code = (
        "def main(argv):\n"
        "    @tf.function\n"
        "    def check(x):\n"
        "        tf.debugging.Assert(x < 0, ['id 7 of \\'é\\' is not in [0, 5)', 'mend it'])\n"
        "        return x\n"
        "    check(tf.constant(1))\n"
    )
    returncode, lines = ending_of(code)
    assert returncode == 1
    assert lines[-1] == "error: id 7 of 'é' is not in [0, 5) mend it"
    assert not any("Traceback" in line for line in lines)


def test_sam_under_a_trainer_of_one_pass_ends_in_one_line():
    code = (
        "def main(argv):\n"
        "    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])\n"
        "    model.compile(tf_helen.SAM(), 'mse')\n"
        "    model.fit(tf.ones((2, 1)), tf.ones((2, 1)), verbose=0)\n"
    )
    returncode, lines = ending_of(code)
    assert returncode == 1
    assert lines[-1].startswith("error: SAM needs two gradients per step")
    assert not any("Traceback" in line for line in lines)


def test_other_runtime_errors_keep_their_stack_trace():
    code = "def main(argv):\n    raise RuntimeError('tf_helen.enable: a bug')"
    returncode, lines = ending_of(code)
    assert returncode == 1
    assert lines[-1] == "RuntimeError: tf_helen.enable: a bug"
    assert any("Traceback" in line for line in lines)


def test_an_unreadable_file_of_rows_is_named(data, tmp_path):
    train(config_for(data, tmp_path / "run"))
    saved = export_run(str(tmp_path / "run"), data, str(tmp_path / "saved"))
    names = [path.stem for path in sorted(Path(data, "vocabulary").iterdir())]
    text = ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n"
    whole = gzip.compress((text * 50).encode())
    broken = bytearray(whole)
    broken[20:40] = b"\xff" * 20
    quoted = '"' + "x" * 200_000 + '"\n'
    unreadable = "cannot be read as a table: "
    for name, content, words in (
        ("short.csv.gz", whole[:-12], f" {unreadable}"),
        ("broken.csv.gz", bytes(broken), f" {unreadable}"),
        ("long.csv", (text + quoted).encode(), ", line 3: wrong number of columns"),
        ("latin.csv", text.encode() + b"\xe9\n", f" {unreadable}"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}{words}"):
            list(predict(saved, str(path)))


def test_a_damaged_config_is_named(data, tmp_path):
    config = config_for(data, tmp_path / "run", resume=True)
    config.save()
    file = tmp_path / "run/config.json"
    for content in (file.read_bytes()[:30], b"[]", b"\xff"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"run/config\.json is damaged"):
            config.check_folder()


def test_a_comparison_keeps_folders_that_hold_no_run(data, tmp_path):
    (tmp_path / "adam/seed_0").mkdir(parents=True)
    (tmp_path / "adam/seed_0/thesis.txt").write_text("mine")
    common = config_for(data, tmp_path, save_models=False, resume=True)
    compare(common, parse_contenders("adam"), seeds=[0])
    assert (tmp_path / "adam/seed_0/thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["thesis.txt", "adam/thesis.txt", "adam/seed_1/thesis.txt", "cells/thesis.txt"]
)
def test_a_comparison_is_removed_only_if_all_of_it_is_ours(name, data, tmp_path):
    folder = tmp_path / "runs"
    config_for(data, folder / "adam/seed_0").save()
    (folder / "results.json").write_text("{}")
    (folder / "cells/0123").mkdir(parents=True)
    (folder / "cells/0123/cell.json").write_text("{}")
    (folder / ".results.md.12.tmp").write_text("")
    mine = folder / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(ValueError, match="is not a file of a comparison"):
        remove_comparison(str(folder))
    assert mine.exists() and (folder / "adam/seed_0/config.json").exists()
    mine.unlink()
    remove_comparison(str(folder))
    assert not folder.exists()


def test_the_demo_deletes_no_folder_called_runs_of_somebody_else(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for split in ("train", "valid", "test"):
        (source / f"{split}.csv").write_text("label,a\n1,x\n0,y\n")
    mine = tmp_path / "out/runs/thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(ValueError, match=r"thesis\.txt is not a file of a comparison"):
        run_demo(str(source), str(tmp_path / "out"))
    assert mine.exists()
