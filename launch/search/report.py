"""Files of a search: a table of its trials, a plot, and the best setting as a command line."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Sequence

from matplotlib import pyplot as plt

from launch.comparison.plots import zoom
from launch.comparison.tables import NAMES
from launch.figures import save_figure
from launch.run.arguments import arguments_text
from launch.run.config import RunConfig
from launch.run.progressive_settings import Progressive
from launch.run.results import aligned
from launch.search.searching import Search, Trial, best_of, format_value
from launch.search.space import Range
from zoo.data.files import join, write_json, write_text

FILES = ("trials.md", "trials.json", "search.png")
_FLAGS = (
    "learning_rate",
    "epochs",
    "batch_size",
    "seed",
    "precision",
    "strategy",
    "cpu_replicas",
    "patience",
    "reduce_lr",
)


def train_command(config: RunConfig) -> str:
    """Returns the command line of `launch.train` with the settings of a run.

    Args:
        config: settings of the run; settings that have their default are left out.

    Returns:
        String of one line.

    Example:
        >>> train_command(RunConfig("data/frappe", "out/best", optimizer_args={"beta_1": 0.8}))
        'python -m launch.train --data=data/frappe --out=out/best --model=deepfm --optimizer=adam \
--optimizer_args=beta_1=0.8'
    """
    flags = [f"--data={config.data}", f"--out={config.out}", f"--model={config.model}"]
    flags.append(f"--optimizer={config.optimizer}")
    for name in ("optimizer_args", "model_args"):
        if getattr(config, name):
            flags.append(f"--{name}={arguments_text(getattr(config, name))}")
    if config.callbacks:
        flags.append(f"--callbacks={','.join(config.callbacks)}")
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name in _FLAGS:
        if getattr(config, name) != defaults[name]:
            flags.append(f"--{name}={getattr(config, name)}")
    if config.progressive is not None:
        flags = [flag for flag in flags if not flag.startswith("--epochs=")]
        flags += _progressive_flags(config.progressive)
    return f"python -m launch.train {shlex.join(flags)}"


def _progressive_flags(progressive: Progressive) -> list[str]:
    flags = ["--progressive", f"--progressive_splits={','.join(progressive.splits)}"]
    if progressive.slice_rows is not None:
        flags.append(f"--slice_rows={progressive.slice_rows}")
    else:
        flags.append(f"--slices={progressive.slices}")
    return [*flags, "--shuffle_slices"] if progressive.shuffle else flags


def trials_table(wanted: Search, trials: Sequence[Trial]) -> str:
    """Lists the completed trials, best first, then those that were pruned or diverged.

    Args:
        wanted: the search.
        trials: the trials that ended.

    Returns:
        Markdown without a final newline.
    """
    name = f"valid {NAMES[wanted.select]}"
    rows = [["trial", *wanted.space, name, "epoch", "state", "seconds"]]
    for trial in sorted(trials, key=lambda t: (t.state != "complete", -t.score, t.number)):
        score = "-" if trial.score == -math.inf else f"{abs(trial.score):.5f}"
        values = [format_value(trial.values[key]) for key in wanted.space]
        last = [score, str(trial.epoch or "-"), trial.state, f"{trial.seconds:.1f}"]
        rows.append([str(trial.number), *values, *last])
    return aligned(rows)


def save_search(wanted: Search, trials: Sequence[Trial], name: str, command: str = "") -> str:
    """Writes `trials.md`, `trials.json` and `search.png`.

    Args:
        wanted: the search.
        trials: the trials that ended; at least one.
        name: string, name of the data set.
        command: string, the command line of the search.

    Returns:
        The best settings, and their command line for `launch.train`; without a completed trial, a
        line that says so.
    """
    out, best = wanted.common.out, best_of(trials)
    if best is None:
        text, config = "no trial was completed: all were pruned or diverged", None
    else:
        config = dataclasses.replace(
            wanted.config(best.values, wanted.seeds[0]), out=join(out, "best")
        )
        score = f"{NAMES[wanted.select]} {abs(best.score):.5f}"
        text = (
            f"best: trial {best.number} of {len(trials)}, valid {score} after epoch {best.epoch}\n"
            f"{train_command(config)}"
        )
    shown = f"{text}\n\n" if best is None else text.replace("\n", "\n\n```\n", 1) + "\n```\n\n"
    write_text(join(out, "trials.md"), shown + trials_table(wanted, trials) + "\n")
    content = {
        "command": command,
        "data": name,
        "model": wanted.common.model,
        "optimizer": wanted.common.optimizer,
        "space": {key: str(axis) for key, axis in wanted.space.items()},
        "select": wanted.select,
        "seeds": list(wanted.seeds),
        "sampler_seed": wanted.sampler_seed,
        "best": None if best is None else best.number,
        "train": None if config is None else train_command(config),
        "trials": [
            dataclasses.asdict(t) | {"score": None if t.score == -math.inf else t.score}
            for t in trials
        ],
    }
    write_json(join(out, "trials.json"), content)
    if any(trial.score > -math.inf for trial in trials):
        title = f"{name}: {wanted.common.model}, {wanted.common.optimizer}"
        plot_search(wanted, trials, join(out, "search.png"), title)
    return text


def plot_search(wanted: Search, trials: Sequence[Trial], path: str, title: str) -> str:
    """Draws the score of each trial, and the scores against each setting.

    Args:
        wanted: the search.
        trials: the trials that ended; at least one has a score.
        path: file to write.
        title: string, title of the plot.

    Returns:
        The path.
    """
    scored = [trial for trial in trials if trial.score > -math.inf]
    larger = wanted.select == "auc"
    sign = 1 if larger else -1
    values = [abs(trial.score) for trial in scored]
    count = 1 + len(wanted.space)
    columns = min(count, 3)
    rows = -(-count // columns)
    size = (4.2 * columns, 3.4 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    panels = axes.ravel()
    end, best = zoom(values, larger), sign * max(sign * value for value in values)
    margin = 0.08 * abs(best - end) or 0.001
    for axis in panels[:count]:
        axis.set_ylim(*sorted((end - sign * margin, best + sign * margin)))
        axis.ticklabel_format(axis="y", useOffset=False)
        axis.set_ylabel(f"valid {NAMES[wanted.select]}")
        axis.grid(alpha=0.3)
    for axis in panels[count:]:
        axis.axis("off")
    _scatter(panels[0], [trial.number for trial in scored], scored)
    _draw_best(panels[0], scored)
    panels[0].set_xlabel("trial; line: the best so far, x: pruned")
    for axis, (key, wanted_axis) in zip(panels[1:], wanted.space.items(), strict=False):
        axis.set_xlabel(key)
        if isinstance(wanted_axis, Range):
            if wanted_axis.log:
                axis.set_xscale("log")
            _scatter(axis, [trial.values[key] for trial in scored], scored)
        else:
            names = [format_value(value) for value in wanted_axis.values]
            places = [names.index(format_value(trial.values[key])) for trial in scored]
            _scatter(axis, places, scored)
            axis.set_xticks(range(len(names)), names)
            axis.set_xlim(-0.5, len(names) - 0.5)
    figure.suptitle(title)
    return save_figure(figure, path)


def _scatter(axis: plt.Axes, x: Sequence[float], scored: Sequence[Trial]) -> None:
    for state, marker, color in (("complete", "o", "C0"), ("pruned", "x", "0.5")):
        chosen = [place for place, trial in enumerate(scored) if trial.state == state]
        y = [abs(scored[place].score) for place in chosen]
        axis.plot([x[p] for p in chosen], y, marker, color=color, alpha=0.7, markersize=5)


def _draw_best(axis: plt.Axes, scored: Sequence[Trial]) -> None:
    x, y, best = [], [], -math.inf
    for trial in scored:
        if trial.state == "complete" and trial.score > best:
            best = trial.score
        if best > -math.inf:
            x.append(trial.number)
            y.append(abs(best))
    axis.step(x, y, where="post", color="C1")
