"""The sample of recorded trajectories in the repository, and whether more is at hand."""

import json
from pathlib import Path

import golden
import numpy as np
import pytest

SAMPLE = Path(__file__).parents[2] / "data" / "golden"
FILES = sorted(path.relative_to(SAMPLE).as_posix() for path in SAMPLE.rglob("*.npz"))


def test_the_sample_covers_every_kind():
    runs = json.loads((SAMPLE / "ctr" / "index.json").read_text())["runs"]
    assert {f"ctr/f32/{name}.npz" for name in runs} <= set(FILES)
    kinds = {entry["kind"] for entry in runs.values()}
    adams = {"Adam", "AdamW", "Adagrad", "RAdam", "NAdam"}
    assert kinds == {*adams, "dsam", "sasam", "helen", "sparseadam"}
    assert any(file.startswith("ctr/f64/") for file in FILES)
    rows = json.loads((SAMPLE / "rows" / "index_ar.json").read_text())
    assert {f"rows/{name}.npz" for name in rows} <= set(FILES)
    readings = {(entry["base"], entry["reading"]) for entry in rows.values()}
    expected = ("lazy", "dense", "continuous")
    assert readings == {(base, reading) for base in ("adam", "adagrad") for reading in expected}
    groups = json.loads((SAMPLE / "rows" / "index_group.json").read_text())
    assert {f"rows/{name}.npz" for name in groups} <= set(FILES)
    assert {entry["kernel"] for entry in groups.values()} == {"GroupAdam v4", "SparseGroupFtrlV2"}
    assert {settings["floor"] for _, settings in golden.rms_runs()} == {0, 0.1}
    assert sum("rowwise_rmsprop_ar" in file for file in FILES) == 2
    clips = json.loads((SAMPLE / "ctr" / "index_cowclip.json").read_text())
    assert {f"ctr/f32/{name}.npz" for name in clips} <= set(FILES)
    assert {bool(entry["l2"]) for entry in clips.values()} == {False, True}
    assert all(entry["clipped_rows"] for entry in clips.values())
    assert "rows/cowclip_oneshot.npz" in FILES


def test_the_sample_stays_small():
    assert sum((SAMPLE / file).stat().st_size for file in FILES) < 2_000_000


def test_the_full_set_was_used_and_the_sample_agrees_with_it():
    if golden.ROOT.resolve() == SAMPLE.resolve():
        pytest.skip(f"shared data absent: {len(FILES)} files of the sample stood for the full set")
    assert FILES
    for file in FILES:
        full = golden.load(file)
        with np.load(SAMPLE / file) as sample:
            for name in sample.files:
                np.testing.assert_array_equal(sample[name], full[name], err_msg=f"{file} {name}")
                assert sample[name].dtype == full[name].dtype
