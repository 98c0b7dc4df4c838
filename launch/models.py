"""Prints the models of the zoo, or published settings and results.

Example: `python -m launch.models`; with their sizes on prepared data: `python -m launch.models
--data=data/frappe`; published settings: `python -m launch.models --presets`.
"""

from collections.abc import Sequence

from absl import flags

import zoo
from launch import cli
from launch.quiet import quiet

_FLAGS = flags.FLAGS


def _main(argv: Sequence[str]) -> None:
    del argv
    schema = zoo.Schema.load(_FLAGS.data) if _FLAGS.data else None
    if _FLAGS.presets:
        found = zoo.list_presets(schema.name if schema else None)
        if not found:
            names = ", ".join(sorted({preset.dataset for preset in zoo.list_presets()}))
            raise ValueError(f"no preset for the data set {schema.name!r}; available: {names}")
        print(found)
        return
    print(zoo.list_models(schema))
    if schema:
        print(f"\nparameters with default settings on {schema.name}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string(
        "data", None, "Prepared data folder; prints the number of parameters for its schema."
    )
    flags.DEFINE_boolean(
        "presets", False, "Print published settings for the data in --data, or for all data sets."
    )


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
