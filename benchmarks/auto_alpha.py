"""Compares AdamAR's `alpha="auto"` with a grid of alphas, from results of `launch.compare`.

    python -m launch.compare --data=data/movielens_crossed --out=out/512 --model=dnn --seeds=3 \
        --batch_size=512 --optimizers="adam;adamar:alpha=auto;adamar:alpha=1e-4;..."
    python benchmarks/auto_alpha.py --results=out/512,out/2048 --out=docs/results/auto_alpha

Writes a table of each comparison, and a plot of all: test AUC at the epoch that validation chooses,
against alpha.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from absl import app, flags

from tf_helen.rules.interval_decay import alpha_for

_RESULTS = flags.DEFINE_list("results", [], "Folders that launch.compare wrote.")
_STEPS = flags.DEFINE_list("steps", [], "Steps per epoch of each folder.")
_OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)


def best_test_auc(run: list[dict]) -> float:
    """Returns the test AUC of the epoch with the best validation AUC."""
    return max(run, key=lambda epoch: epoch["valid_auc"])["test_auc"]


def summary(runs: list[list[dict]]) -> dict[str, np.ndarray]:
    """Returns test AUC: `best`, at the chosen epoch, `[seeds]`; `epochs`, `[seeds, epochs]`."""
    return {
        "best": np.array([best_test_auc(run) for run in runs]),
        "epochs": np.array([[epoch["test_auc"] for epoch in run] for run in runs]),
    }


def alpha_of(label: str) -> float | None:
    """Returns the alpha in a label such as `adamar(alpha=0.0001)`; `None` for others."""
    found = re.fullmatch(r"adamar\(alpha=([\d.e-]+)\)", label)
    return float(found[1]) if found else None


def cell(values: np.ndarray) -> str:
    shown = f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"
    return shown.replace("0.", ".")


def table(summaries: dict[str, dict], steps: int) -> str:
    """Returns a Markdown table: the grid in order, then auto and Adam."""
    epochs = next(iter(summaries.values()))["epochs"].shape[1]
    head = ["alpha", *(f"E{i + 1}" for i in range(epochs)), "best"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    order = sorted(summaries, key=lambda label: (alpha_of(label) is None, alpha_of(label) or 0))
    for label in order:
        values = summaries[label]
        alpha = alpha_of(label)
        name = f"{alpha:g}" if alpha else {"adam": "0 (Adam)"}.get(label, label)
        if label == "adamar(alpha=auto)":
            name = f"**auto** ({alpha_for(steps):.2g})"
        cells = [cell(values["epochs"][:, i]) for i in range(epochs)]
        lines.append("| " + " | ".join([name, *cells, cell(values["best"])]) + " |")
    return "\n".join(lines)


def draw(panels: list[tuple[str, dict, int]], path: pathlib.Path) -> None:
    """Draws a panel per comparison: the grid as points, auto and Adam as bands."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.6), squeeze=False)
    for axis, (title, summaries, steps) in zip(axes[0], panels, strict=True):
        grid = sorted((alpha_of(label), s) for label, s in summaries.items() if alpha_of(label))
        alphas = [alpha for alpha, _ in grid]
        means = [s["best"].mean() for _, s in grid]
        spread = [s["best"].std(ddof=1) for _, s in grid]
        axis.errorbar(alphas, means, spread, fmt="o-", capsize=3, label="grid")
        for label, color, name in (
            ("adamar(alpha=auto)", "tab:green", "auto"),
            ("adam", "tab:red", "Adam"),
        ):
            best = summaries[label]["best"]
            low, high = best.mean() - best.std(ddof=1), best.mean() + best.std(ddof=1)
            axis.axhspan(low, high, color=color, alpha=0.2)
            axis.axhline(best.mean(), color=color, label=name)
        axis.axvline(alpha_for(steps), color="tab:green", linestyle=":", label="alpha of auto")
        axis.set(xscale="log", xlabel="alpha", title=title)
    axes[0][0].set_ylabel("test AUC, best epoch")
    axes[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(_) -> None:
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    panels, text = [], []
    for folder, steps in zip(_RESULTS.value, map(int, _STEPS.value), strict=True):
        content = json.loads((pathlib.Path(folder) / "results.json").read_text())
        settings = content["settings"]
        summaries = {label: summary(runs) for label, runs in content["runs"].items()}
        title = f"{settings['data']}, batch {settings['batch_size']}"
        panels.append((title, summaries, steps))
        text += [f"### {title}: {steps} steps per epoch", "", table(summaries, steps), ""]
        name = f"{settings['data']}_{settings['batch_size']}.json"
        (out / name).write_text(json.dumps(content, indent=1))
    print("\n".join(text))
    draw(panels, out / "alpha.png")


if __name__ == "__main__":
    app.run(main)
