"""The pages of the API reference: one entry for each public name, from `__all__`."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
_WITH_METHODS = {"RowSparseOptimizer"}
_INTRODUCTION = """# API reference

Signatures, types, defaults, errors and sources, from the docstrings. Every example runs as a test.

| page | content |
|---|---|
"""
# Page: title, what it holds.
_ABOUT = {
    "optimizers": ("Optimizers", "classes for `compile` and `minimize`"),
    "rules": ("Rules", "update rules and combinators, for optimizers of your own"),
    "training": ("Models and training", "`tf_helen.Model`, `enable`, `settle`"),
    "layers": ("Layers", "embedding tables"),
    "metrics": ("Metrics", "over whole data sets"),
    "callbacks": ("Callbacks", "MEDA, pruning, norms, exact resumption"),
    "analysis": ("Analysis", "sharpness, norms, frequency"),
    "zoo": ("Models of the zoo", "click-through-rate models"),
    "data": ("Data", "schema, record files, presets"),
    "launch": ("Commands from Python", "what the commands call"),
}
_COMMANDS = (
    "launch.prepare.prepare",
    "launch.run.config.RunConfig",
    "launch.run.training.train",
    "launch.run.progressive.train_progressively",
    "launch.run.history.History",
    "launch.run.history.Epoch",
    "launch.run.files.load_best",
    "launch.compare.compare",
    "launch.evaluate.evaluate",
    "launch.reporting.run_report.run_report",
    "launch.export.export_run",
    "launch.predict.predict",
)


def public_names(module: str) -> list[str]:
    """Returns the names in `__all__` of a package, without importing it.

    Args:
        module: string, such as "tf_helen.optimizers".
    """
    path = ROOT.joinpath(*module.split("."), "__init__.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    raise ValueError(f"{path} has no __all__")


def reference_pages() -> dict[str, str]:
    """Returns the Markdown of each page by its path below docs/."""
    root = public_names("tf_helen")
    optimizers = [name for name in public_names("tf_helen.optimizers") if name in root]
    others = {"get", "get_class", "Needs", "TrainerError"}
    helpers = [name for name in public_names("tf_helen.optimizers") if name in others]
    models = [name for name in public_names("zoo.models") if name[0].isupper()]
    data = [name for name in public_names("zoo") if name not in models]
    names: dict[str, Iterable[str]] = {
        "optimizers": [f"tf_helen.{name}" for name in optimizers]
        + [f"tf_helen.optimizers.{name}" for name in helpers],
        "training": [f"tf_helen.{name}" for name in ("Model", "Sequential", "enable", "settle")],
        "zoo": [f"zoo.{name}" for name in models],
        "data": [f"zoo.{name}" for name in data],
        "launch": _COMMANDS,
    }
    for module in ("rules", "layers", "metrics", "callbacks", "analysis"):
        found = public_names(f"tf_helen.{module}")
        names[module] = [f"tf_helen.{module}.{name}" for name in found]
    pages = {
        f"api/{page}.md": _page(_ABOUT[page][0], entries, methods=page not in ("optimizers", "zoo"))
        for page, entries in names.items()
    }
    rows = [f"| [{title}]({page}.md) | {content} |" for page, (title, content) in _ABOUT.items()]
    return {"api/index.md": _INTRODUCTION + "\n".join(rows) + "\n", **pages}


def _page(title: str, names: Iterable[str], methods: bool) -> str:
    parts = [f"# {title}\n"]
    for name in names:
        parts.append(f"::: {name}\n")
        if not methods and name.rpartition(".")[2] not in _WITH_METHODS:
            parts.append("    options:\n      members: false\n")
    return "\n".join(parts)
