"""What rare ids do: the same comparison on data without the ids that occur less than N times.

    python benchmarks/rare_ids.py --source=raw/movielens_crossed --out=out/rare_ids

For each N of `--min_counts`, ids with fewer occurrences in the training split become the id of
unknown values (`launch.prepare --min_count=N`), and the optimizers of `--plan` are compared on the
result. Writes a table, and a plot of the test AUC at the epoch that validation chooses. A second
call continues.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import app, flags

from launch.figures import marker_of, save_figure
from launch.run.results import aligned, short

ROOT = pathlib.Path(__file__).resolve().parents[1]
_SOURCE = flags.DEFINE_string("source", None, "Raw data of --dataset.", required=True)
_DATASET = flags.DEFINE_string("dataset", "movielens_crossed", "Name of the data set.")
_OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)
_COUNTS = flags.DEFINE_list("min_counts", ["1", "2", "3", "5", "10"], "Values of N.")
_PLAN = flags.DEFINE_string("plan", "docs/results/plans/rare_ids.yaml", "Plan of launch.compare.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of seeds.")


def run(module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)}: exit status {done.returncode}")


def compared(count: str, out: pathlib.Path) -> tuple[int, dict[str, Any]]:
    """Returns the number of ids of a data set, and the results on it; computes what is missing."""
    data, results = out / f"data_{count}", out / f"compared_{count}"
    if not (data / "schema.json").exists():
        named = f"--dataset={_DATASET.value}", f"--source={os.path.abspath(_SOURCE.value)}"
        run("launch.prepare", *named, f"--min_count={count}", f"--out={data}")
    flags_ = f"--plan={_PLAN.value}", f"--data={data}", f"--seeds={_SEEDS.value}"
    run("launch.compare", *flags_, f"--out={results}", "--resume")
    schema = json.loads((data / "schema.json").read_text(encoding="utf-8"))
    ids = sum(field["size"] for field in schema["categorical"] if not field.get("shares"))
    return ids, json.loads((results / "results.json").read_text(encoding="utf-8"))


def table(found: dict[str, tuple[int, dict[str, Any]]]) -> str:
    runs = [each for _, content in found.values() for each in content["test_auc"].values()]
    epochs = max(len(each["mean"]) for each in runs)
    titles = [f"E{e + 1}" for e in range(epochs)]
    rows = [["least occurrences", "ids", "optimizer", *titles, "best", "less the first", "p"]]
    for count, (ids, content) in found.items():
        chosen = content["statistics"]["chosen"]["auc"]
        for place, (label, each) in enumerate(chosen.items()):
            means = content["test_auc"][label]["mean"]
            cells = ["-" if mean is None else short(mean, 4) for mean in means]
            best = short(each["mean"], 4)
            if each["deviation"] is not None:
                best += f" ± {short(each['deviation'], 4)}"
            less = "" if each["difference"] is None else f"{each['difference']:+.4f}"
            p = "" if each["p"] is None else f"{each['p']:.3f}".replace("0.", ".")
            head = ["", ""] if place else [count, f"{ids:,}"]
            rows.append([*head, label, *cells, best, less.replace("0.", "."), p])
    return aligned(rows)


def plot(found: dict[str, tuple[int, dict[str, Any]]], path: str) -> None:
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    first = next(iter(found.values()))[1]["statistics"]["chosen"]["auc"]
    places = range(len(found))
    for number, label in enumerate(first):
        chosen = [content["statistics"]["chosen"]["auc"][label] for _, content in found.values()]
        axis.errorbar(
            places,
            [each["mean"] for each in chosen],
            [each["deviation"] or 0.0 for each in chosen],
            marker=marker_of(number),
            capsize=3,
            label=label,
        )
    axis.set_xticks(places, [f"{count}\n{ids:,} ids" for count, (ids, _) in found.items()])
    axis.set_xlabel("least occurrences of an id of its own in the training split")
    axis.set_ylabel("test AUC, epoch chosen by validation")
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    axis.set_title(f"{_DATASET.value}: rare ids as the id of unknown values")
    save_figure(figure, path)


def main(argv: list[str]) -> None:
    del argv
    out = pathlib.Path(_OUT.value).resolve()
    out.mkdir(parents=True, exist_ok=True)
    found = {count: compared(count, out) for count in _COUNTS.value}
    text = table(found)
    print(text)
    (out / "results.md").write_text(text + "\n", encoding="utf-8")
    kept = ("settings", "runs", "test_auc", "statistics")
    content = {
        count: {"ids": ids, **{key: one[key] for key in kept}}
        for count, (ids, one) in found.items()
    }
    (out / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    plot(found, str(out / "rare_ids.png"))


if __name__ == "__main__":
    app.run(main)
