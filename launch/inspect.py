"""Prints the ids of dynamic tables: fill, admissions, evictions, ages and counts.

Example: `python -m launch.inspect --path=out/day1`; also `--path=model.keras`, `--checkpoint` for
the newest checkpoint of a run, `--ids=user=17,item=3` for the rows of ids, and `--out=FOLDER` for
histograms of ages and counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from launch import cli
from launch.inspection.models import dynamic_tables, load_model
from launch.inspection.plots import plot_state
from launch.inspection.tables import ids_text, state_text
from launch.quiet import quiet
from zoo.data.files import DataError, join

_FLAGS = flags.FLAGS


def inspect_tables(
    path: str, *, checkpoint: bool = False, ids: Sequence[str] = (), out: str | None = None
) -> str:
    """Returns the state of the dynamic tables of a model, and draws it.

    Args:
        path: string, folder of a run, or a `.keras` file.
        checkpoint: boolean, whether to load the newest checkpoint of the run instead of its best
            model. Defaults to `False`.
        ids: sequence of strings `field=id`, ids whose rows are named. Defaults to `()`.
        out: string, folder for the plots, one per table. Defaults to `None`: no plots.

    Returns:
        String.

    Raises:
        DataError: if there is no model, it has no dynamic table, or an id cannot be read.

    Example:
        >>> print(inspect_tables("out/day1", ids=["user=17"]))  # doctest: +SKIP
    """
    tables = dynamic_tables(load_model(path, checkpoint))
    if not tables:
        raise DataError(
            f"the model in {path} has no dynamic table; train one with "
            "launch.train --model_args=dynamic=CAPACITY"
        )
    parts = []
    for name, layer in tables.items():
        state = layer.table_state()
        parts.append(f"{name}: {layer.output_dim} wide\n\n{state_text(state)}")
        own = [text for text in ids if text.partition("=")[0] in layer.fields]
        if own:
            parts.append(ids_text(layer, own))
        if out is not None:
            image = join(out, f"{name.replace('/', '_')}.png")
            parts.append(f"ages and counts: {plot_state(state, image, f'{path}: {name}')}")
    unknown = [t for t in ids if all(t.partition("=")[0] not in x.fields for x in tables.values())]
    if unknown:
        fields = ", ".join(next(iter(tables.values())).fields)
        raise DataError(f"no field for {unknown[0]!r}; write FIELD=ID. Fields: {fields}")
    return "\n\n".join(parts)


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.path:
        raise ValueError("pass --path=RUN or --path=FILE.keras")
    print(
        inspect_tables(
            _FLAGS.path.rstrip("/"), checkpoint=_FLAGS.checkpoint, ids=_FLAGS.ids, out=_FLAGS.out
        )
    )


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("path", None, "Folder of a run, or a .keras file.")
    flags.DEFINE_boolean("checkpoint", False, "Use the newest checkpoint of the run.")
    flags.DEFINE_list("ids", [], "Ids whose rows are printed, such as user=17,item=3.")
    flags.DEFINE_string("out", None, "Folder for plots of ages and counts.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
