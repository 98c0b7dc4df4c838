"""Trains every model of the zoo for two epochs with `launch.train`; prints AUC and time.

    python benchmarks/every_model.py --data=FOLDER_OF_DATA_SETS --work=FOLDER [--models=deepfm,dcn]

`--data` holds `frappe/` and `movielens_crossed/`, each with train, valid and test `.csv.gz`. Each
model runs as a separate process of `python -m launch.train`, with its default settings. DIN needs
histories, which both data sets lack; they are made of the films or apps that the user liked earlier
in the training file. Results go to `docs/results/zoo.json` and are printed as a table.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections import defaultdict

import polars as pl
from absl import app, flags

_ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT))
_DATA = flags.DEFINE_string("data", None, "Folder of the data sets.", required=True)
_WORK = flags.DEFINE_string("work", None, "Folder for prepared data and runs.", required=True)
_MODELS = flags.DEFINE_list("models", None, "Models; by default all.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the runs.")

SETS = ("frappe", "movielens_crossed")
HISTORY, LENGTH = "liked_before", 20
SETTINGS = {"batch_size": 1024, "epochs": 2, "learning_rate": 1e-3}


def run(*arguments: str) -> str:
    """Runs a module of this repository."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


def prepared(name: str) -> str:
    """Returns the prepared folder of a data set; prepares it on the first call."""
    out = os.path.join(_WORK.value, "data", name)
    if not os.path.exists(out):
        source = os.path.join(_DATA.value, name)
        run("launch.prepare", f"--dataset={name}", f"--source={source}", f"--out={out}")
    return out


def with_histories(name: str) -> str:
    """Returns a data set with the items that the user liked in earlier rows of train."""
    histories = f"{name.removesuffix('_crossed')}_histories"
    out = os.path.join(_WORK.value, "data", histories)
    if os.path.exists(out):
        return out
    raw = out + "_raw"
    os.makedirs(raw, exist_ok=True)
    liked: dict[str, list[str]] = defaultdict(list)
    for split in ("train", "valid", "test"):
        path = os.path.join(_DATA.value, name, f"{split}.csv.gz")
        table = pl.read_csv(path, infer_schema=False)
        past = []
        for label, user, item in table.select("label", "user", "item").iter_rows():
            past.append("|".join(liked[user][-LENGTH:]))
            if split == "train" and float(label) == 1:
                liked[user].append(item)
        table.with_columns(pl.Series(HISTORY, past)).write_csv(os.path.join(raw, f"{split}.csv"))
    fields = [{"name": name} for name in table.columns if name != "label"]
    fields.append({"name": HISTORY, "length": LENGTH, "shares": "item"})
    schema = {"version": 2, "name": histories, "categorical": fields}
    pathlib.Path(raw, "schema.json").write_text(json.dumps(schema))
    run("launch.prepare", f"--schema={raw}/schema.json", f"--source={raw}", f"--out={out}")
    return out


def trained(model: str, data: str) -> dict:
    """Returns test AUC and LogLoss by epoch, and seconds."""
    out = os.path.join(_WORK.value, "runs", os.path.basename(data), model)
    start = time.perf_counter()
    if not os.path.exists(os.path.join(out, "saved_model")):
        settings = [f"--{key}={value}" for key, value in SETTINGS.items()]
        run(
            "launch.train", f"--data={data}", f"--out={out}", f"--model={model}",
            f"--seed={_SEED.value}", "--eval_test_each_epoch", *settings,
        )  # fmt: skip
    whole = time.perf_counter() - start
    table = pl.read_csv(os.path.join(out, "history.csv"))
    return {
        "test_auc": [round(value, 5) for value in table["test_auc"]],
        "test_logloss": [round(value, 5) for value in table["test_logloss"]],
        "epoch_seconds": round(table["seconds"].mean(), 1),
        "rows_per_second": round(table["rows_per_second"].mean()),
        "whole_seconds": round(whole, 1),
    }


def main(_) -> None:
    import zoo

    models = _MODELS.value or [entry.name for entry in zoo.list_models()]
    path = _ROOT / "docs" / "results" / "zoo.json"
    found = json.loads(path.read_text()) if path.exists() else {"settings": SETTINGS, "runs": {}}
    for model in models:
        for name in SETS:
            data = with_histories(name) if model == "din" else prepared(name)
            result = trained(model, data)
            found["runs"].setdefault(model, {})[os.path.basename(data)] = result
            path.write_text(json.dumps(found, indent=1) + "\n")
            print(model, os.path.basename(data), result, flush=True)
    print(markdown(found["runs"]))


def markdown(runs: dict) -> str:
    """Returns a table with one line per model and data set."""
    lines = ["| model | data set | test AUC, epoch 1 | epoch 2 | LogLoss, best | s per epoch |"]
    lines.append("|---|---|---|---|---|---|")
    for model, by_set in runs.items():
        for name, result in by_set.items():
            auc = " | ".join(f"{value:.4f}" for value in result["test_auc"])
            logloss = min(result["test_logloss"])
            seconds = result["epoch_seconds"]
            lines.append(f"| {model} | {name} | {auc} | {logloss:.4f} | {seconds:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
