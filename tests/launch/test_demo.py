"""The demonstration, from CSV files to a served model, on few rows."""

import re
import urllib.error
import urllib.request

import numpy as np
import polars as pl
import pytest

from launch.demo import load_raw, run_demo, takeaway
from launch.run.history import Epoch, History


@pytest.fixture
def source(tmp_path):
    """A folder of CSV files in which the item decides the label."""
    folder = tmp_path / "clicks"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, rows in (("train", 900), ("valid", 200), ("test", 200)):
        item = rng.integers(0, 10, rows)
        table = pl.DataFrame(
            {
                "label": (rng.random(rows) < item / 10).astype(int),
                "user": rng.integers(0, 50, rows),
                "item": [f"film {i}" for i in item],
            }
        )
        table.write_csv(folder / f"{split}.csv")
    return folder


def test_the_demo_trains_three_optimizers_and_serves_the_best(source, tmp_path, capsys):
    out = tmp_path / "out"
    run_demo(str(source), str(out), rows=600, epochs=2)
    text = capsys.readouterr().out
    assert f"data: clicks, the CSV files in {source}" in text and re.search(r"train +\d+ +\d", text)
    rows = [line.split("|")[1:] for line in text.splitlines() if line.startswith("| ")]
    tests = {row[0].strip(): float(row[3]) for row in rows if row[1].strip() == "test"}
    assert [name.split("(")[0] for name in tests] == ["adam", "adamar", "helen"]
    assert all(0.5 < auc < 1 for auc in tests.values()), tests
    assert (out / "runs/curves.png").exists()
    assert (out / "saved_model/saved_model.pb").exists()
    assert re.search(r"^adam is best after epoch \d \(test AUC 0\.\d{4}.*\.$", text, re.M)
    difference = text.split("largest difference to the trained model: ")[1].split()[0]
    assert float(difference) < 1e-6


def test_generated_data_stand_in_where_nothing_can_be_downloaded(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TF_HELEN_CACHE", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    raw, where = load_raw(None)
    assert raw.schema.name == "synthetic"
    assert where.startswith("generated data, not MovieLens-1M: cannot download")
    assert "no route to host" in where


def test_a_source_that_is_nothing_known_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no-such-file"):
        load_raw(str(tmp_path / "no-such-file"))


def _history(*aucs):
    epochs = (Epoch(n, 0.5, auc, 0.5, test) for n, (auc, test) in enumerate(aucs, 1))
    return [History(tuple(epochs))]


def test_the_last_sentence_says_what_the_curves_show():
    adam = _history((0.75, 0.74), (0.70, 0.69))
    better = takeaway({"adam": adam, "helen": _history((0.74, 0.73), (0.76, 0.75))})
    assert better == (
        "adam is best after epoch 1 (test AUC 0.7400; 0.6900 after epoch 2); helen is best after "
        "epoch 2 with 0.7500, 0.0100 better."
    )
    unlucky = takeaway({"adam": adam, "helen": _history((0.755, 0.735), (0.74, 0.74))})
    assert unlucky.endswith("helen is best after epoch 1 with 0.7350, 0.0050 worse.")
    alone = takeaway({"adam": adam, "helen": _history((0.74, 0.75))})
    assert alone.endswith("no other optimizer is better on the validation split of these data.")
